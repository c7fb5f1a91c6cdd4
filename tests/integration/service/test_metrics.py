"""What Prometheus is told."""

import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from core.errors import EncoderKilled
from core.settings import DatabaseSettings, Settings
from core.stages import Stage
from core.values import Ticket
from models import SourceObject, attempts, counter, ledger
from models.session import transaction
from service.app import create_app
from tests.integration.service.conftest import nothing


def samples(client: TestClient) -> dict[tuple[str, frozenset[str]], float]:
    """Read the text format with the reference parser."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {(s.name, frozenset(s.labels.values())): s.value for family in families for s in family.samples}


def test_videos_are_counted_by_status(client: TestClient, indexed_video: Callable[..., UUID]):
    indexed_video()
    found = samples(client)
    assert found["dailies_videos", frozenset({"indexed"})] == 1
    assert found["dailies_videos", frozenset({"failed"})] == 0


def test_stages_are_counted_by_how_they_ended(client: TestClient, settings: Settings, ticket: Ticket):
    before = samples(client)
    with transaction(settings.database) as session:
        done = ledger.start(session, ticket, Stage.TRANSCODE, "f1", None, ledger.Share("chunk 3", Decimal(60)))
        ledger.finish(session, done)
        ledger.finish(session, done)  # it has ended: counted once
        failed = ledger.start(session, ticket, Stage.SHOTS, None, None)
        ledger.fail(session, failed, EncoderKilled.__name__, "killed")
        ledger.reuse(session, ticket, Stage.SHOTS, "f2", None)
    after = samples(client)

    def added(name: str, *labels: str) -> float:
        return after.get((name, frozenset(labels)), 0) - before.get((name, frozenset(labels)), 0)

    assert added("dailies_stage_seconds_count", "transcode", "chunk", "done") == 1
    assert added("dailies_stage_media_seconds_total", "transcode", "chunk") == 60
    assert added("dailies_stage_seconds_count", "shots", "", "failed") == 1
    assert added("dailies_stage_seconds_count", "shots", "", "reused") == 1
    assert added("dailies_stage_seconds_bucket", "shots", "", "failed", "+Inf") == 1


def test_what_reconcile_recovered_is_told(client: TestClient, settings: Settings):
    with transaction(settings.database) as session:
        counter.add(session, "recovered_unannounced", 3)
    assert samples(client)["dailies_recovered_total", frozenset({"unannounced"})] == 3


def test_requests_are_timed_by_route_and_never_by_id(client: TestClient):
    client.get("/videos/00000000-0000-0000-0000-000000000000")
    found = samples(client)
    assert found["dailies_request_seconds_count", frozenset({"/videos/{video_id}", "404"})] == 1


def test_without_a_database_the_answer_is_an_error_and_holds_no_secret(settings: Settings):
    lost = settings.model_copy(
        update={"database": DatabaseSettings(url="postgresql+psycopg://nobody:secret@127.0.0.1:9/none")}
    )
    answer = TestClient(create_app(lost, dispatch=nothing, settle=nothing, reconcile=nothing)).get("/metrics")
    assert answer.status_code == 503
    assert "secret" not in answer.text


@pytest.fixture
def ticket(settings: Settings, indexed_video: Callable[..., UUID]) -> Ticket:
    """One more attempt at an indexed video."""
    indexed_video()
    with transaction(settings.database) as session:
        row = session.scalars(select(SourceObject)).one()
        return attempts.begin(session, row.video_id, row.id)


MONITORING = Path(__file__).parents[3] / "deployments" / "monitoring"


@pytest.mark.parametrize("name", ["alerts.yml", "dashboard.json"])
def test_dashboards_and_alerts_ask_for_numbers_that_are_told(client: TestClient, ticket: Ticket, name: str):
    with transaction(client.app.state.door.settings.database) as session:  # type: ignore[attr-defined]
        counter.add(session, "recovered_dispatched", 1)
        share = ledger.Share("chunk 0", Decimal(60))
        ledger.finish(session, ledger.start(session, ticket, Stage.TRANSCODE, "f1", None, share))
    client.get("/healthz")
    told = {name for name, _ in samples(client)}
    asked = set(re.findall(r"\b(?:dailies|process)_[a-z_]+", (MONITORING / name).read_text()))
    assert asked
    assert asked <= told
