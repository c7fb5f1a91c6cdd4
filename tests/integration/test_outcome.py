"""What a run that failed writes down, although the database is what failed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Thread
from uuid import UUID, uuid4

import pytest
from prefect import Flow
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Abort
from prefect.flow_engine import run_flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Failed, Running
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from core.errors import DatabaseUnavailable
from core.settings import DatabaseSettings, Settings
from core.stages import Stage
from core.values import Ticket
from dispatch.runs import prefect_client
from flows.ingest import ingest_video
from flows.outcome import note_failure, rejects_invalid_media
from models import Video, VideoStatus, attempts
from models.session import engine_for, ping, transaction
from tasks.stage import STAGE_NOTE, flow_run_id
from tests.conftest import wait_for
from tests.integration.models.test_inbox import record


@contextmanager
def outage(database: DatabaseSettings) -> Iterator[None]:
    """Let nobody into a database while the body runs."""
    url = make_url(database.url.get_secret_value())
    engine_for(database).dispose()
    admin = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false"))
        with pytest.raises(DatabaseUnavailable):
            ping(database)
        try:
            yield
        finally:
            connection.execute(text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true"))
    admin.dispose()


@pytest.fixture
def run_in_an_outage(
    settings: Settings, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], object]], FlowRun]:
    """Give what runs a flow whose first step finds nobody at the database, for good, and does something else first."""
    video_id = record(settings.database).video_id

    def begin(video_id: UUID) -> Ticket:
        with transaction(settings.database) as session:
            return attempts.begin(session, video_id, flow_run_id())

    monkeypatch.setattr("flows.outcome.begin", begin)
    monkeypatch.setattr("flows.outcome.patiently", lambda call: call())

    def run(first: Callable[[], object]) -> FlowRun:
        with temporary_settings({PREFECT_API_URL: prefect_api}), ExitStack() as stack:

            def steps(_ticket: Ticket) -> None:
                """Meet an outage."""
                stack.enter_context(outage(settings.database))
                first()
                ping(settings.database)

            with prefect_client() as client, suppress(DatabaseUnavailable, Abort):
                known = client.create_flow_run(flow := Flow(rejects_invalid_media(steps)))
                run_flow(flow, known, parameters={"video_id": video_id})
            with prefect_client() as client:
                return client.read_flow_run(known.id)

    return run


def test_a_run_that_meets_a_long_outage_of_the_database_fails_while_it_lasts(
    run_in_an_outage: Callable[[Callable[[], object]], FlowRun],
):
    ended = run_in_an_outage(lambda: None)
    assert ended.state
    assert ended.state.is_failed(), ended.state
    assert "DatabaseUnavailable" in (ended.state.message or "")


def test_a_run_that_another_process_began_meanwhile_is_left_to_it_in_an_outage_too(
    run_in_an_outage: Callable[[Callable[[], object]], FlowRun],
):
    def another() -> None:
        with prefect_client() as client:
            client.set_flow_run_state(flow_run_id(), Running(name="Another"), force=True)

    ended = run_in_an_outage(another)
    assert ended.state_name == "Another"


def test_a_run_that_failed_for_the_database_still_says_in_which_stage_once_it_is_back(settings: Settings):
    row, run_id = record(settings.database), uuid4()
    with transaction(settings.database) as session:
        attempts.begin(session, row.video_id, run_id)
    error = DatabaseUnavailable("The database did not answer.")
    error.add_note(f"{STAGE_NOTE}{Stage.SHOTS}")
    run = FlowRun(id=run_id, flow_id=uuid4(), name="a", parameters={"video_id": str(row.video_id)})
    hook = Thread(target=note_failure, args=(ingest_video, run, Failed(data=error)))
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        with outage(settings.database):
            hook.start()
            hook.join(1)
            assert hook.is_alive(), "it waits"
        wait_for(lambda: not hook.is_alive(), "the hook has written it down", 60)
    with transaction(settings.database) as session:
        video = session.get_one(Video, row.video_id)
        assert (video.status, video.error_stage, video.error_class) == (
            VideoStatus.FAILED,
            Stage.SHOTS,
            "DatabaseUnavailable",
        )
