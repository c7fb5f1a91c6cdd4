"""What Prometheus is told."""

import datetime as dt
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select, update

from core.errors import EncoderKilled
from core.settings import DatabaseSettings, Settings
from core.stages import Stage
from core.values import Ticket
from deployments.worker import registry_for as worker_registry
from dispatch.reconcile import Recovered
from models import SourceObject, StageRun, Video, VideoStatus, attempts, counter, ledger
from models.session import transaction
from service.app import create_app
from tests.conftest import wait_for
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


def test_searches_are_timed_whichever_page_or_route_asked(client: TestClient, indexed_video: Callable[..., UUID]):
    scene_id = client.get(f"/videos/{indexed_video()}").json()["scenes"][0]["scene_id"]
    assert samples(client)["dailies_search_seconds_count", frozenset({"scene"})] == 0
    for path in (f"/scenes/{scene_id}/similar", f"/?like={scene_id}"):
        assert client.get(path).status_code == 200
    assert client.get("/").status_code == 200, "which asks for nothing"
    assert samples(client)["dailies_search_seconds_count", frozenset({"scene"})] == 2


def test_without_a_database_everything_else_is_told_and_no_secret(settings: Settings):
    lost = settings.model_copy(
        update={"database": DatabaseSettings(url="postgresql+psycopg://nobody:secret@127.0.0.1:9/none")}
    )
    client = TestClient(create_app(lost, dispatch=nothing, settle=nothing, reconcile=nothing))
    found = samples(client)
    assert found["dailies_database_up", frozenset()] == 0
    assert {"dailies_info", "dailies_scratch_free_bytes", "process_resident_memory_bytes"} <= {
        name for name, _ in found
    }
    assert "dailies_videos" not in {name for name, _ in found}
    assert "secret" not in client.get("/metrics").text


def test_with_a_database_it_is_up(client: TestClient):
    assert samples(client)["dailies_database_up", frozenset()] == 1


def test_bad_media_is_no_failure_and_a_process_that_died_is_one_more_outcome(
    client: TestClient, settings: Settings, ticket: Ticket
):
    with transaction(settings.database) as session:
        for number in range(2):
            bad = ledger.start(session, ticket, Stage.VALIDATE, str(number), None)
            ledger.fail(session, bad, "InvalidMedia:truncated", "It ends early.", is_verdict=True)
        ledger.start(session, ticket, Stage.TRANSCODE, "f1", None, ledger.Share("chunk 4"))
        ledger.close_abandoned(session, ticket.video_id, ticket.attempt + 1)
    found = samples(client)
    ended = {labels: value for (name, labels), value in found.items() if name == "dailies_stage_ended_total"}
    assert ended[frozenset({"validate", "", "rejected"})] == 2
    assert ended[frozenset({"validate", "", "failed"})] == 0
    assert ended[frozenset({"transcode", "chunk", "abandoned"})] == 1
    assert ended[frozenset({"transcode", "", "done"})] == 1, "of the indexed video"


def test_what_is_tried_again_in_one_attempt_is_a_retry(client: TestClient, settings: Settings, ticket: Ticket):
    def tried(fingerprint: str, share: ledger.Share | None = None, times: int = 1) -> None:
        for _ in range(times):
            entry = ledger.start(
                session, ticket, Stage.EMBED if share is None else Stage.TRANSCODE, fingerprint, None, share
            )
            ledger.fail(session, entry, EncoderKilled.__name__, "killed")

    with transaction(settings.database) as session:
        tried("f1", ledger.Share("chunk 0"), times=3)
        tried("f1", ledger.Share("chunk 1"))
        tried("one space")
        tried("another space")
        ledger.reuse(session, ticket, Stage.SHOTS, "f1", None)
        ledger.start(session, ticket, Stage.SHOTS, "f1", None)
    retries = {
        labels: value for (name, labels), value in samples(client).items() if name == "dailies_stage_retries_total"
    }
    assert retries == {frozenset({"transcode", "chunk"}): 2}


def test_the_realtime_factor_is_told_of_stages_without_shares_too(
    client: TestClient, settings: Settings, ticket: Ticket
):
    with transaction(settings.database) as session:
        ledger.finish(session, ledger.start(session, ticket, Stage.SHOTS, "f1", None), Decimal("4.5"))
        summary = ledger.start(session, ticket, Stage.TRANSCODE, "f1", None, ledger.Share("sound"))
        ledger.finish(session, summary, Decimal("4.5"))
    found = samples(client)
    assert found["dailies_stage_media_seconds_total", frozenset({"shots", ""})] == 4.5
    assert found["dailies_stage_media_seconds_total", frozenset({"transcode", "sound"})] == 4.5


def test_a_video_in_work_that_does_not_move_is_silent_and_one_that_waits_is_not(
    client: TestClient, settings: Settings, ticket: Ticket
):
    hour = dt.timedelta(hours=1)

    def silence() -> float:
        return samples(client)["dailies_longest_silence_seconds", frozenset()]

    def moved(**when: dt.datetime) -> None:
        with transaction(settings.database) as session:
            session.execute(update(Video).values(**when))

    long_ago = dt.datetime.now(dt.UTC) - 3 * hour
    moved(updated_at=long_ago)
    assert silence() == 0, "it is indexed"
    with transaction(settings.database) as session:
        session.execute(update(Video).values(status=VideoStatus.VALIDATING, attempt=0, updated_at=long_ago))
        session.execute(update(StageRun).values(started_at=long_ago - hour, ended_at=long_ago - hour))
    assert silence() == 0, "nobody has begun it"
    with transaction(settings.database) as session:
        session.execute(update(Video).values(attempt=2, updated_at=long_ago))
    assert 3 * 3600 <= silence() < 3 * 3600 + 600
    with transaction(settings.database) as session:
        ledger.start(session, ticket, Stage.SHOTS, "f1", None)
    assert silence() < 600


def test_coverage_is_told_by_stage_space_and_state(client: TestClient, indexed_video: Callable[..., UUID]):
    indexed_video()
    answer = client.get("/coverage").json()
    found = samples(client)
    assert answer
    for row in answer:
        for state in ("produced", "stale", "empty", "failed", "missing"):
            labels = frozenset({row["stage"], row["space"] or "", state})
            assert found["dailies_coverage_videos", labels] == row[state]


def test_upkeep_is_no_recovery(client: TestClient, settings: Settings):
    with transaction(settings.database) as session:
        for kind in Recovered.model_fields:
            counter.add(session, f"{counter.SET_RIGHT}{kind}", 1)
    kinds: dict[str, set[str]] = {}
    for name, labels in samples(client):
        kinds.setdefault(name, set()).update(labels)
    assert kinds["dailies_recovered_total"] == {"unannounced", "dispatched", "requested", "resumed"}
    assert {"failed", "expired", "redriven", "swept_files"} <= kinds["dailies_upkeep_total"]


@pytest.fixture
def ticket(settings: Settings, indexed_video: Callable[..., UUID]) -> Ticket:
    """One more attempt at an indexed video."""
    indexed_video()
    with transaction(settings.database) as session:
        row = session.scalars(select(SourceObject)).one()
        return attempts.begin(session, row.video_id, row.id)


MONITORING = Path(__file__).parents[3] / "deployments" / "monitoring"
OPERATIONS = MONITORING.parents[1] / "docs" / "operations.md"
SELECTOR = re.compile(r"\b((?:dailies|process)_[a-z_]+|up)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')

#: Name, labels and value, as a scrape gives them.
Told = list[tuple[str, dict[str, str], float]]


def told_by(text: str) -> Told:
    return [(s.name, s.labels, s.value) for family in text_string_to_metric_families(text) for s in family.samples]


def selected(told: Told, selector: re.Match[str]) -> Told:
    """What Prometheus would take for a selector of ours."""
    name, inside = selector.groups()
    matchers = MATCHER.findall(inside or "")
    assert MATCHER.sub("", inside or "").strip(", ") == "", f"{inside} is more than this test understands"
    return [
        one
        for one in told
        if one[0] == name
        and all(
            re.fullmatch(value, one[1].get(label, "")) if how == "=~" else one[1].get(label, "") == value
            for label, how, value in matchers
        )
    ]


def expressions(name: str) -> dict[str, str]:
    """Every expression of a file, by the title of its rule or panel."""
    if name == "alerts.yml":
        groups = yaml.safe_load((MONITORING / name).read_text())["groups"]
        return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
    panels = json.loads((MONITORING / name).read_text())["panels"]
    return {f"{panel['title']} {each['refId']}": each["expr"] for panel in panels for each in panel["targets"]}


@pytest.fixture
def told(settings: Settings, ticket: Ticket) -> Told:
    """What a system tells in which everything has happened once: the service, and a worker."""
    with transaction(settings.database) as session:
        counter.add(session, "recovered_dispatched", 1)
        share = ledger.Share("chunk 0", Decimal(60))
        ledger.finish(session, ledger.start(session, ticket, Stage.TRANSCODE, "f1", None, share))
        for _ in range(2):
            broken = ledger.start(session, ticket, Stage.TRANSCODE, "f2", None, ledger.Share("chunk 1"))
            ledger.fail(session, broken, EncoderKilled.__name__, "killed")
        ledger.start(session, ticket, Stage.TRANSCODE, "f3", None, ledger.Share("chunk 2"))
        ledger.close_abandoned(session, ticket.video_id, ticket.attempt + 1)
        bad = ledger.start(session, ticket, Stage.VALIDATE, "f4", None)
        ledger.fail(session, bad, "InvalidMedia:empty", "It is empty.", is_verdict=True)
    worker = generate_latest(worker_registry(settings)).decode()
    app = create_app(
        settings, dispatch=nothing, settle=nothing, reconcile=nothing, waiting=lambda _: {"uploads": 2, "backfill": 0}
    )
    with TestClient(app) as client:
        client.get("/search")
        wait_for(lambda: "dailies_queue_runs{" in client.get("/metrics").text, "the queues are asked", 20)
        return [*told_by(client.get("/metrics").text), *told_by(worker)]


@pytest.mark.parametrize("name", ["alerts.yml", "dashboard.json"])
def test_every_selector_of_alerts_and_dashboard_finds_what_it_asks_for(told: Told, name: str):
    jobs = set(re.findall(r"job_name: ([a-z-]+)", OPERATIONS.read_text()))
    assert jobs
    told += [("up", {"job": job}, 1.0) for job in jobs]
    for title, expression in expressions(name).items():
        selectors = list(SELECTOR.finditer(expression))
        assert selectors, title
        assert expression.count("(") == expression.count(")"), title
        for selector in selectors:
            found = selected(told, selector)
            assert found, f"{title}: {selector[0]}"
            for label, _, value in MATCHER.findall(selector[2] or ""):
                assert {one[1][label] for one in found} == set(value.split("|")), f"{title}: {selector[0]}"


def test_the_failure_rate_counts_shares_and_deaths_and_no_bad_media(told: Told):
    rule = expressions("alerts.yml")["DailiesFailureRate"]
    above, below = (selected(told, each) for each in list(SELECTOR.finditer(rule))[:2])

    def of(stage: str, found: Told) -> float:
        return sum(value for _, labels, value in found if labels["stage"] == stage)

    assert (of("transcode", above), of("transcode", below)) == (3, 5), "chunks 1, 1 and 2; and chunk 0 and a join"
    assert (of("validate", above), of("validate", below)) == (0, 0)


def test_a_sum_over_what_every_replica_tells_alike_counts_it_once():
    alike = re.compile(r"(?<!without \(instance, pod\) \()(?:rate|increase)\(dailies_(?!request|search)")
    for name in ("alerts.yml", "dashboard.json"):
        for title, expression in expressions(name).items():
            if "sum" in expression:
                assert not alike.search(expression), f"{title}: two replicas would show double"
