"""Settle believes signs of life before what Prefect concludes from silence, against a real Prefect server."""

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.schemas.objects import State, StateType
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Completed, Crashed, Failed, Pending, Running

from core.agreed import SILENT
from core.errors import WorkflowUnavailable
from core.settings import DatabaseSettings, Settings
from core.stages import Stage
from core.values import SourceVersion, Ticket
from dispatch.rerun import rerun
from dispatch.runs import INGEST, prefect_client, state_of
from dispatch.settle import FRESH_S, GRACE_S, LOCK, LOST_S, RESUME_AFTER_S, Action, settle
from flows.alive import THREAD, signs_of_life
from models import Video, VideoStatus, attempts, inbox, ledger, publication
from models.session import transaction
from models.session_lock import SessionLock
from tests.conftest import wait_for
from tests.integration.models.test_inbox import made
from tests.integration.prefect_server import ago, entered

LONG_AGO_S = 10_000.0


@pytest.fixture
def folder(prefect_folder: Path) -> Path:
    return prefect_folder


@pytest.fixture(autouse=True)
def _prefect(prefect_api: str) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield


@flow(name=INGEST)
def nothing() -> None:
    """Stand for a flow: these runs are never started."""


def at_work(settings: Settings, state: State) -> Ticket:
    """Make a video whose first attempt's run is in this state, and which has just given a sign of life."""
    with prefect_client() as client:
        run = client.create_flow_run(nothing)
        client.set_flow_run_state(run.id, state, force=True)
    source = SourceVersion(bucket="uploads", key=f"{uuid4()}.mp4", etag="e", last_modified=ago(0), size_bytes=1)
    with transaction(settings.database) as session:
        row = inbox.record_source(session, source, owner_id="local")
        inbox.mark_dispatched(session, row.id, run.id)
        return attempts.begin(session, row.video_id, run.id)


def heard(database: DatabaseSettings, ticket: Ticket, seconds_ago: float) -> None:
    with transaction(database) as session:
        session.get_one(Video, ticket.video_id).alive_at = ago(seconds_ago)


def run_of(settings: Settings, ticket: Ticket) -> UUID:
    with transaction(settings.database) as session:
        run_id = session.get_one(Video, ticket.video_id).flow_run_id
    assert run_id is not None
    return run_id


def state_type(settings: Settings, ticket: Ticket) -> StateType:
    state = state_of(run_of(settings, ticket))
    assert state is not None
    return state.type


def settled(settings: Settings) -> list[Action]:
    """Settle once; give what was done."""
    return [action for action, count in settle(settings).items() if count and action is not Action.NOTHING]


def test_a_running_run_whose_process_is_gone_is_called_crashed_and_resumed(settings: Settings, folder: Path):
    ticket = at_work(settings, Running())
    entered(folder, run_of(settings, ticket), LONG_AGO_S)
    heard(settings.database, ticket, LOST_S - 20)
    assert settled(settings) == []
    heard(settings.database, ticket, LOST_S + 1)
    assert settled(settings) == [Action.CRASH]
    assert state_type(settings, ticket) is StateType.CRASHED
    entered(folder, run_of(settings, ticket), RESUME_AFTER_S[0])
    assert settled(settings) == [Action.RESUME]
    assert state_type(settings, ticket) is StateType.SCHEDULED


def test_an_attempt_of_an_older_release_gives_no_signs_and_is_left_alone(settings: Settings, folder: Path):
    ticket = at_work(settings, Running())
    entered(folder, run_of(settings, ticket), LONG_AGO_S)
    heard(settings.database, ticket, LONG_AGO_S)
    with transaction(settings.database) as session:
        session.get_one(Video, ticket.video_id).attempt += 1  # as that release began one
    assert settled(settings) == []


def test_a_cancelled_run_that_nobody_ended_is_cancelled_and_not_resumed(settings: Settings, folder: Path):
    ticket = at_work(settings, Cancelling())
    entered(folder, run_of(settings, ticket), LONG_AGO_S)
    heard(settings.database, ticket, LOST_S + 1)
    assert settled(settings) == [Action.CRASH]
    entered(folder, run_of(settings, ticket), LONG_AGO_S)
    assert settled(settings) == [Action.FAIL]
    assert state_type(settings, ticket) is StateType.CANCELLED
    with transaction(settings.database) as session:
        video = session.get_one(Video, ticket.video_id)
        assert (video.status, video.error_class) == (VideoStatus.FAILED, "Cancelled")


def test_a_run_that_was_called_crashed_while_it_lives_is_running_again_once_it_is_heard(
    settings: Settings, folder: Path
):
    ticket = at_work(settings, Crashed(message=SILENT))
    entered(folder, run_of(settings, ticket), 10)
    heard(settings.database, ticket, 20)
    assert settled(settings) == [], "it was heard a moment before; it may have died since"
    heard(settings.database, ticket, 1)
    assert settled(settings) == [Action.REVIVE]
    assert state_type(settings, ticket) is StateType.RUNNING
    with transaction(settings.database) as session:
        assert session.get_one(Video, ticket.video_id).auto_resumes == 0


def test_a_run_that_was_called_crashed_and_falls_silent_is_resumed(settings: Settings, folder: Path):
    ticket = at_work(settings, Crashed(message=SILENT))
    entered(folder, run_of(settings, ticket), 10)
    heard(settings.database, ticket, FRESH_S + 1)
    assert settled(settings) == [Action.RESUME]


def test_a_process_whose_worker_saw_it_die_is_resumed_however_fresh_its_last_sign(settings: Settings, folder: Path):
    ticket = at_work(settings, Crashed(message="Flow run process exited with non-zero status code -9."))
    entered(folder, run_of(settings, ticket), RESUME_AFTER_S[0])
    assert settled(settings) == [Action.RESUME]
    assert state_type(settings, ticket) is StateType.SCHEDULED


def test_a_run_that_a_worker_took_and_never_started_is_found(settings: Settings, folder: Path):
    ticket = at_work(settings, Pending())
    entered(folder, run_of(settings, ticket), LONG_AGO_S)
    assert settled(settings) == [Action.CRASH]
    assert state_type(settings, ticket) is StateType.CRASHED


def alive_at(settings: Settings, ticket: Ticket) -> dt.datetime:
    with transaction(settings.database) as session:
        found = session.get_one(Video, ticket.video_id).alive_at
    assert found is not None
    return found


def signing() -> bool:
    return any(thread.name == THREAD for thread in threading.enumerate())


def test_an_attempt_gives_signs_of_life_until_it_ends_and_is_not_changed_by_them(settings: Settings):
    ticket = at_work(settings, Running())
    with transaction(settings.database) as session:
        before = session.get_one(Video, ticket.video_id).updated_at
    first = alive_at(settings, ticket)
    with signs_of_life(settings.database, ticket, every_s=0.05):
        wait_for(lambda: alive_at(settings, ticket) > first, "a sign of life", 5)
    wait_for(lambda: not signing(), "the signs have ended", 5)
    with transaction(settings.database) as session:
        assert session.get_one(Video, ticket.video_id).updated_at == before


def test_an_attempt_that_was_overtaken_falls_silent(settings: Settings):
    ticket = at_work(settings, Running())
    with signs_of_life(settings.database, ticket, every_s=0.05):
        with transaction(settings.database) as session:
            attempts.begin(session, ticket.video_id, None)
        wait_for(lambda: not signing(), "the older attempt falls silent", 5)


def test_signs_that_cannot_be_given_disturb_nothing(settings: Settings, caplog: pytest.LogCaptureFixture):
    ticket = at_work(settings, Running())
    nowhere = DatabaseSettings(url="postgresql+psycopg://nobody@127.0.0.1:9/nothing")
    with signs_of_life(nowhere, ticket, every_s=0.05):
        wait_for(lambda: "no sign of life" in caplog.text, "the outage is noticed", 10)
        assert signing()
    wait_for(lambda: not signing(), "the thread ends", 10)


def stored(settings: Settings, ticket: Ticket) -> Video:
    with transaction(settings.database) as session:
        return session.get_one(Video, ticket.video_id)


def ends(folder: Path, run_id: UUID, state: State, seconds_ago: float) -> None:
    with prefect_client() as client:
        client.set_flow_run_state(run_id, state, force=True)
    entered(folder, run_id, seconds_ago)


def test_a_stage_to_be_redone_of_a_video_at_work_is_redone_once_that_is_published(settings: Settings, folder: Path):
    ticket = at_work(settings, Running())
    run_id = run_of(settings, ticket)
    assert rerun(settings, ticket.video_id, Stage.EMBED) == run_id
    with transaction(settings.database) as session:
        publication.publish(session, ticket, *made(1))
    assert settled(settings) == [], "its run is about to end"
    ends(folder, run_id, Completed(), GRACE_S)
    asked_for(settings, ticket, GRACE_S + 1)
    assert settled(settings) == [Action.RESUME]
    assert state_type(settings, ticket) is StateType.SCHEDULED
    with transaction(settings.database) as session:
        again = attempts.begin(session, ticket.video_id, run_id)
        assert again.generations == {Stage.EMBED: 1, Stage.PUBLISH: 1}
        publication.publish(session, again, *made(1))
    assert stored(settings, ticket).rerun_at is None


def asked_for(settings: Settings, ticket: Ticket, seconds_ago: float) -> None:
    """Let the rerun have been asked for so long ago, if one was."""
    with transaction(settings.database) as session:
        video = session.get_one(Video, ticket.video_id)
        assert video.rerun_at is not None
        video.rerun_at = ago(seconds_ago)


def test_a_video_whose_rerun_died_before_it_began_tells_the_new_error(settings: Settings, folder: Path):
    ticket = at_work(settings, Running())
    run_id = run_of(settings, ticket)
    with transaction(settings.database) as session:
        attempts.fail(session, ticket.video_id, stage=Stage.EMBED, error_class="Old", message="old", attempt=1)
    rerun(settings, ticket.video_id)
    asked_for(settings, ticket, 60)
    heard(settings.database, ticket, LONG_AGO_S)
    ends(folder, run_id, Failed(message="the new one"), GRACE_S)
    assert settled(settings) == [Action.FAIL]
    video = stored(settings, ticket)
    assert (video.status, video.rerun_at) == (VideoStatus.FAILED, None)
    assert (video.error_stage, video.error_class, video.error_message) == (None, "Failed", "the new one")


def test_what_a_failed_attempt_could_not_say_itself_is_read_from_the_ledger(settings: Settings, folder: Path):
    ticket = at_work(settings, Running())
    run_id = run_of(settings, ticket)
    with transaction(settings.database) as session:
        retried = ledger.start(session, ticket, Stage.VALIDATE, "v", run_id)
        ledger.fail(session, retried, "StorageUnavailable", "made good by a retry")
        ledger.finish(session, ledger.start(session, ticket, Stage.VALIDATE, "v", run_id))
        ledger.fail(session, ledger.start(session, ticket, Stage.SHOTS, "s", run_id), "MemoryError", "no room")
    ends(folder, run_id, Failed(message="Flow run encountered an exception."), LONG_AGO_S)
    assert settled(settings) == [], "its process was heard a moment ago, and may say so itself"
    heard(settings.database, ticket, FRESH_S + 1)
    assert settled(settings) == [Action.FAIL]
    video = stored(settings, ticket)
    assert (video.error_stage, video.error_class, video.error_message) == ("shots", "MemoryError", "no room")


def test_videos_that_wait_for_their_first_attempt_are_left_to_reconcile_unless_their_run_crashed(
    settings: Settings, folder: Path
):
    begun, killed_early, waiting = (at_work(settings, state) for state in (Crashed(), Crashed(), Completed()))
    for ticket in (killed_early, waiting):
        with transaction(settings.database) as session:
            video = session.get_one(Video, ticket.video_id)
            video.attempt, video.alive_attempt = 0, None
    for ticket in (begun, killed_early, waiting):
        entered(folder, run_of(settings, ticket), GRACE_S)
    assert settle(settings, begun_only=True)[Action.RESUME] == 2
    assert [state_type(settings, ticket) for ticket in (begun, killed_early, waiting)] == [
        StateType.SCHEDULED,
        StateType.SCHEDULED,
        StateType.COMPLETED,
    ]
    assert settle(settings)[Action.RESUME] == 1
    assert state_type(settings, waiting) is StateType.SCHEDULED


def test_a_pass_holds_no_transaction_while_it_works(
    settings: Settings, folder: Path, idle_during: Callable[[str], list[int]]
):
    entered(folder, run_of(settings, at_work(settings, Crashed())), RESUME_AFTER_S[0])
    found = idle_during("dispatch.settle.reschedule")
    assert settle(settings)[Action.RESUME] == 1
    assert found == [0]


def test_of_two_services_one_settles(settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch):
    ticket = at_work(settings, Crashed())
    entered(folder, run_of(settings, ticket), RESUME_AFTER_S[0])
    with SessionLock(settings.database, LOCK) as other:
        assert other.held()
        assert not any(settle(settings, begun_only=True).values())
        # Who looks at all of them waits for the other one, and not for ever.
        monkeypatch.setattr("dispatch.settle.PATIENCE_S", 0.3)
        with pytest.raises(WorkflowUnavailable, match="Another process"):
            settle(settings)
    assert settle(settings, begun_only=True)[Action.RESUME] == 1
