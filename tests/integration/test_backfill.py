"""How a backfill works through its videos, against a Prefect server; only the worker is played by the tests."""

import datetime as dt
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.states import Completed, Crashed, Failed
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

import dispatch.backfill
from core.agreed import REJECTED, SILENT
from core.errors import DatabaseUnavailable, TransientError
from core.fingerprint import Recipes
from core.settings import Settings
from core.stages import Stage
from dispatch import planning
from dispatch.asking import TAG
from dispatch.backfill import WAITING, Backfill, End, Step
from dispatch.following import GUESS_S
from dispatch.runs import prefect_client, state_of
from dispatch.settle import RESUME_AFTER_S
from flows.backfill import backfill_flow
from flows.pausing import heed_own_state
from models import Video, VideoStatus, counter, coverage, recipes, spaces
from models.recipes import Column
from models.session import transaction
from models.video_stage import NO_ENCODER
from tests.integration.library import AT_ONCE, SPEC, published
from tests.integration.prefect_server import bare_server, deploy

SHOTS = planning.Selection(stage=Stage.SHOTS)
#: Where nobody listens.
NOWHERE = "http://127.0.0.1:9/api"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="dailies-test-", ignore_cleanup_errors=True) as folder,
        bare_server(Path(folder)) as api,
    ):
        deploy(api)
        yield api


@pytest.fixture(autouse=True)
def _asked_here(server: str) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: server, PREFECT_LOGGING_TO_API_ENABLED: False}):
        yield


def redo(settings: Settings, video_id: UUID) -> None:
    with transaction(settings.database) as session:
        recipes.record(session, video_id, recipes.columns(session, Recipes(settings)))


class Worker:
    """Stands for the worker: ends what waits in Prefect as the test says."""

    def __init__(self, settings: Settings, videos: list[UUID]) -> None:
        self.settings, self.videos = settings, videos
        #: What becomes of a run; None lets it wait.
        self.ends: Callable[[FlowRun], State | None] = self.well

    def well(self, run: FlowRun) -> State:
        redo(self.settings, UUID(run.parameters["video_id"]))
        return Completed()

    def runs(self) -> list[FlowRun]:
        with prefect_client() as client:
            found = client.read_flow_runs(
                flow_run_filter=FlowRunFilter.model_validate({"tags": {"all_": [TAG]}}), limit=200
            )
        return [run for run in found if UUID(run.parameters["video_id"]) in self.videos]

    def asked(self) -> list[UUID]:
        return sorted(UUID(run.parameters["video_id"]) for run in self.runs())

    def end(self, run: FlowRun, state: State) -> None:
        with prefect_client() as client:
            client.set_flow_run_state(run.id, state, force=True)

    def work(self) -> None:
        for run in self.runs():
            if run.state_type is StateType.SCHEDULED and (state := self.ends(run)) is not None:
                self.end(run, state)


def backfill(
    settings: Settings, selection: planning.Selection = SHOTS, *, budget: int = 1_000, later_s: float = 0.0
) -> Backfill:
    """Begin a backfill whose clock runs ahead."""
    planned = planning.plan(settings, selection, AT_ONCE)
    return Backfill(
        settings,
        selection,
        planned,
        per_minute=AT_ONCE,
        daily_budget=budget,
        poll_s=0.01,
        clock=lambda: dt.datetime.now(dt.UTC) + dt.timedelta(seconds=later_s),
    )


def follow(work: Backfill, worker: Worker, rounds: int = 300) -> Step:
    """Let it work until it ends; after an outage of the database it goes on."""
    with work:
        for _ in range(rounds):
            with suppress(DatabaseUnavailable):
                if (step := work.advance()).end is not None:
                    return step
            worker.work()
    raise AssertionError(f"it goes on and on: {step}")


@contextmanager
def away(settings: Settings) -> Iterator[None]:
    """Let nobody reach the database."""
    url = make_url(settings.database.url.get_secret_value())
    admin = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false"))
        end = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = :name"
        connection.execute(text(end), {"name": url.database})
        yield
        connection.execute(text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true"))
    admin.dispose()


def attempt_at(work: Backfill) -> End | type[TransientError] | None:
    """Advance once; say how it ended, or that it may be called again."""
    try:
        return work.advance().end
    except TransientError:
        return TransientError


def row_of(settings: Settings, column: Column) -> coverage.Coverage:
    with transaction(settings.database) as session:
        found = coverage.coverage(session, recipes.columns(session, Recipes(settings)), settings.owner_id)
    return next(row for row in found if (row.stage, row.encoder_id) == (column.stage, column.encoder_id))


def test_every_stale_video_is_asked_for_once_however_many_end_at_the_same_time(settings: Settings, older: Recipes):
    stale = published(settings, older, settings.workflow.backfills_at_once + WAITING + 2)
    worker = Worker(settings, stale)
    step = follow(backfill(settings), worker)
    assert (step.done, step.failed, step.going, step.end, step.note) == (len(stale), 0, 0, End.DONE, "")
    assert worker.asked() == sorted(stale)
    again = follow(backfill(settings), worker)
    assert (again.done, again.end, len(worker.runs())) == (0, End.DONE, len(stale))


def test_a_video_that_somebody_brought_up_to_date_meanwhile_is_not_done_again(settings: Settings, older: Recipes):
    first, second, third = published(settings, older, 3)
    worker = Worker(settings, [first, second, third])
    with backfill(settings) as work:
        work.advance()  # reads what there is to do
        work.advance()
        assert worker.asked() == [first]
        redo(settings, second)
        step = follow(work, worker)
    assert worker.asked() == sorted([first, third])
    assert (step.done, step.end) == (3, End.DONE)


def test_the_budget_of_a_day_is_shared_and_counts_runs_that_are_resumed(settings: Settings, older: Recipes):
    videos = published(settings, older, 4)
    worker = Worker(settings, videos)
    worker.ends = lambda _run: Failed()
    step = follow(backfill(settings, budget=2), worker)
    assert (step.failed, step.end) == (2, End.BUDGET)
    assert "budget of 2" in step.note
    worker.ends = worker.well
    step = follow(backfill(settings, budget=5), worker)
    assert (step.done, step.end) == (3, End.BUDGET), "a run that is asked for again is one of the five"
    assert worker.asked() == sorted(videos)
    with transaction(settings.database) as session:
        session.execute(text("UPDATE counter SET name = 'backfilled_on_2026-01-01' WHERE name LIKE 'backfilled_on_%'"))
    assert follow(backfill(settings, budget=5), worker).done == 1, "another day has its own"
    with transaction(settings.database) as session:
        names = [name for name in session.scalars(text("SELECT name FROM counter")) if "backfilled_on" in name]
    assert names != ["backfilled_on_2026-01-01"]
    assert len(names) == 1, "the day before is forgotten"


def test_backfills_that_count_at_the_same_time_stay_within_the_budget(settings: Settings):
    with transaction(settings.database) as session:
        assert [counter.take(session, "a", 2) for _ in range(4)] == [True, True, False, False]
        assert counter.take(session, "b", 0) is False


def test_a_crashed_embedding_is_resumed_three_times_and_then_counts_as_failed(settings: Settings):
    today = Recipes(settings)
    [video_id] = published(settings, today, 1)
    with transaction(settings.database) as session:
        space = spaces.register(session, SPEC)
    selection, worker = planning.Selection(stage=Stage.EMBED, space="tiny"), Worker(settings, [video_id])
    crashes: list[UUID] = []

    def crash(run: FlowRun) -> State:
        crashes.append(run.id)
        return Crashed(message="killed")

    worker.ends = crash
    step = follow(backfill(settings, selection, later_s=RESUME_AFTER_S[-1] + 10), worker)
    assert (step.done, step.failed, step.end) == (0, 1, End.DONE)
    assert len(crashes) == 1 + len(RESUME_AFTER_S)
    [run] = worker.runs()
    assert run.state is not None
    assert (run.state.type, "Crashed 4 times" in (run.state.message or "")) == (StateType.FAILED, True)
    assert row_of(settings, Column(Stage.EMBED, space.id)).failed == 1
    worker.ends = worker.well
    assert follow(backfill(settings, selection), worker).done == 1, "the next one takes it again"
    assert row_of(settings, Column(Stage.EMBED, space.id)).produced == 1


def test_a_crash_gets_its_time_before_it_is_resumed(settings: Settings, older: Recipes):
    worker = Worker(settings, published(settings, older, 1))
    worker.ends = lambda _run: Crashed()
    with backfill(settings) as work:
        for _ in range(6):
            step = work.advance()
            worker.work()
    assert (step.going, step.failed, step.end) == (1, 0, None)
    assert worker.runs()[0].state_type is StateType.CRASHED


def test_a_crashed_rerun_is_left_to_those_who_look_after_it(settings: Settings, older: Recipes):
    [video_id] = published(settings, older, 1)
    worker = Worker(settings, [video_id])

    def crash(run: FlowRun) -> State:
        with transaction(settings.database) as session:
            video = session.get_one(Video, video_id)
            video.flow_run_id, video.rerun_at = run.id, dt.datetime.now(dt.UTC)
        return Crashed()

    worker.ends = crash
    with backfill(settings, later_s=3600) as work:
        for _ in range(6):
            step = work.advance()
            worker.work()
        [run] = worker.runs()
        assert (run.state_type, step.going, step.end) == (StateType.CRASHED, 1, None)
        worker.end(run, worker.well(run))
        step = follow(work, worker)
    assert (step.done, step.failed, step.end) == (1, 0, End.DONE)


def test_what_failed_comes_last_so_that_it_cannot_use_up_the_budget_of_every_day(settings: Settings, older: Recipes):
    first, second, third = published(settings, older, 3)
    with transaction(settings.database) as session:
        recipes.note_failure(session, first, Stage.SHOTS, NO_ENCODER)
    worker = Worker(settings, [first, second, third])
    worker.ends = lambda run: Failed() if run.parameters["video_id"] == str(second) else worker.well(run)
    step = follow(backfill(settings, budget=2), worker)
    assert (worker.asked(), step.done, step.failed, step.end) == (sorted([second, third]), 1, 1, End.BUDGET)
    step = follow(backfill(settings, budget=9), worker)
    assert (step.done, step.failed, step.end) == (1, 1, End.DONE), "what failed in it is not taken again"
    assert worker.asked() == sorted([first, second, third])


def test_a_run_that_prefect_took_for_dead_gets_time_to_end_by_itself(settings: Settings):
    [video_id] = published(settings, Recipes(settings), 1)
    with transaction(settings.database) as session:
        spaces.register(session, SPEC)
    worker = Worker(settings, [video_id])
    worker.ends = lambda _run: Crashed(message=SILENT)
    selection = planning.Selection(stage=Stage.EMBED, space="tiny")
    with backfill(settings, selection, later_s=RESUME_AFTER_S[0] + GUESS_S / 2) as work:
        for _ in range(6):
            work.advance()
            worker.work()
        [run] = worker.runs()
        assert run.state_type is StateType.CRASHED
        worker.end(run, worker.well(run))
        assert follow(work, worker).done == 1
    [run] = worker.runs()
    assert run.run_count == 0, "nobody started it again"


def test_a_run_at_work_that_prefect_took_for_dead_is_running_again():
    @flow
    def at_work(message: str) -> None:
        own = FlowRunContext.get().flow_run.id
        with prefect_client() as client:
            client.set_flow_run_state(own, Crashed(message=message), force=True)
        heed_own_state()
        states.append(state_of(own).type)

    states: list[StateType] = []
    at_work(SILENT)
    at_work("killed")
    assert states == [StateType.RUNNING, StateType.CRASHED]


@pytest.mark.parametrize("state", [Completed(name=REJECTED), Failed()], ids=["rejected", "failed"])
def test_a_video_that_could_not_be_done_counts_as_failed_and_stays(settings: Settings, older: Recipes, state: State):
    [video_id] = published(settings, older, 1)
    worker = Worker(settings, [video_id])
    worker.ends = lambda _run: state
    step = follow(backfill(settings), worker)
    assert (step.done, step.failed) == (0, 1)
    row = row_of(settings, Column(Stage.SHOTS))
    assert (row.failed, row.stale) == (1, 0)
    with transaction(settings.database) as session:
        assert session.get_one(Video, video_id).status is VideoStatus.INDEXED


def test_there_is_one_backfill_of_a_stage_at_a_time_and_a_dead_one_is_in_nobodys_way(
    settings: Settings, older: Recipes
):
    worker = Worker(settings, published(settings, older, 2))
    first, second = backfill(settings), backfill(settings)
    with first, second:
        assert first.advance().end is None
        step = second.advance()
        assert (step.end, "Another backfill of shots" in step.note) == (End.ELSEWHERE, True)
        other = follow(backfill(settings, planning.Selection(stage=Stage.STILLS, state="failed")), worker)
        assert other.end is End.DONE, "of another stage"
        with transaction(settings.database) as session:
            # What the server does to the connection of a process that was killed.
            killed = (
                "SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"
            )
            assert session.scalars(text(killed)).all() == [True]
        assert second.advance().end is None
        ends = [attempt_at(first) for _ in range(5)]
        assert ends[-1] is End.ELSEWHERE, (
            "it asked for what it had, missed its connection, and found another one at work"
        )
        assert TransientError in ends
    assert follow(backfill(settings), worker).end is End.DONE


def test_an_outage_of_prefect_costs_neither_place_nor_budget(settings: Settings, older: Recipes):
    videos = published(settings, older, 2)
    worker = Worker(settings, videos)
    with backfill(settings, budget=2) as work:
        work.advance()
        with temporary_settings({PREFECT_API_URL: NOWHERE}):
            for _ in range(2):
                with pytest.raises(TransientError):
                    work.advance()
        step = follow(work, worker)
    assert (step.done, step.end) == (2, End.DONE)
    assert worker.asked() == sorted(videos)


def test_runs_that_ended_while_the_database_went_away_are_counted_once_it_is_back(settings: Settings, older: Recipes):
    videos = published(settings, older, 2)
    worker = Worker(settings, videos)
    worker.ends = lambda _run: Failed()
    with ExitStack() as outage, backfill(settings) as work:
        while len(worker.runs()) < len(videos):
            work.advance()
        worker.work()
        states_of = dispatch.backfill.states_of

        def and_then_it_is_away(ids: list[UUID]) -> dict[UUID, State | None]:
            found = states_of(ids)
            outage.enter_context(away(settings))
            return found

        with pytest.MonkeyPatch.context() as patch:
            # The moment between Prefect's answer and our note of it is too short to be met from outside.
            patch.setattr(dispatch.backfill, "states_of", and_then_it_is_away)
            with pytest.raises(DatabaseUnavailable):
                work.advance()
        outage.close()
        step = follow(work, worker)
    assert (step.failed, step.done, step.end) == (2, 0, End.DONE)
    assert row_of(settings, Column(Stage.SHOTS)).failed == 2


def test_the_flow_tells_that_another_one_is_at_work(settings: Settings, older: Recipes):
    published(settings, older, 1)
    with backfill(settings) as work:
        work.advance()
        ended = backfill_flow(stage="shots", dry_run=False, return_state=True)
    assert (ended.type, ended.name) == (StateType.COMPLETED, "AnotherAtWork")
