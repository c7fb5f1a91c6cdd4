"""How a backfill works through its videos, against a Prefect server; only the worker is played by the tests."""

import datetime as dt
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import flow
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.states import Completed, Crashed, Failed
from sqlalchemy import text

from core.agreed import REJECTED, SILENT
from core.errors import TransientError
from core.fingerprint import Recipes
from core.settings import Settings, get_settings
from core.stages import Stage
from core.values import EncoderSpec, SourceVersion
from dispatch import planning
from dispatch.asking import TAG
from dispatch.backfill import WAITING, Backfill, End, Step
from dispatch.following import GUESS_S
from dispatch.runs import prefect_client, state_of
from dispatch.settle import RESUME_AFTER_S
from encoders.catalog import spec_for
from flows.backfill import backfill_flow
from flows.pausing import heed_own_state
from models import Video, VideoStatus, counter, coverage, inbox, recipes, spaces, stage_statistic
from models.recipes import Column
from models.session import transaction
from models.states import StageState
from models.video_stage import NO_ENCODER
from tests.integration.prefect_server import bare_server, deploy
from tests.tiny_checkpoints import save_clip

SHOTS = planning.Selection(stage=Stage.SHOTS)
SPEC = EncoderSpec(name="tiny", revision="1", dim=3, preprocess="none")
#: Videos a minute; more than any test has.
AT_ONCE = 1_000_000
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


@pytest.fixture
def older(settings: Settings) -> Recipes:
    """How shots were found before."""
    return Recipes(settings.model_copy(update={"shots": settings.shots.model_copy(update={"min_scene_s": 9.0})}))


def published(settings: Settings, by: Recipes, number: int) -> list[UUID]:
    """Publish videos, the oldest first."""
    ids, now = [], dt.datetime.now(dt.UTC)
    with transaction(settings.database) as session:
        for index in range(number):
            source = SourceVersion(bucket="b", key=f"{uuid4()}", etag="e", last_modified=now, size_bytes=1)
            video_id = inbox.record_source(session, source, owner_id=settings.owner_id).video_id
            video = session.get_one(Video, video_id)
            video.status, video.indexed_at = VideoStatus.INDEXED, now
            video.created_at = now - dt.timedelta(hours=number - index)
            session.flush()
            recipes.record(session, video_id, recipes.columns(session, by))
            ids.append(video_id)
    return ids


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
    """Let it work until it ends."""
    with work:
        for _ in range(rounds):
            if (step := work.advance()).end is not None:
                return step
            worker.work()
    raise AssertionError(f"it goes on and on: {step}")


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


def test_the_flow_tells_that_another_one_is_at_work(settings: Settings, older: Recipes):
    published(settings, older, 1)
    with backfill(settings) as work:
        work.advance()
        ended = backfill_flow(stage="shots", dry_run=False, return_state=True)
    assert (ended.type, ended.name) == (StateType.COMPLETED, "AnotherAtWork")


def took(settings: Settings, **seconds: float) -> None:
    """Note how long each stage took, once."""
    with transaction(settings.database) as session:
        for stage, each in seconds.items():
            stage_statistic.count(session, Stage(stage), None, StageState.DONE, each, 0.0)


def embedded(settings: Settings, space_id: int, *seconds: float) -> None:
    """Note how long each of some videos took to embed."""
    with transaction(settings.database) as session:
        for each in seconds:
            stage_statistic.note_embedding(session, space_id, each)


def hours(settings: Settings, selection: planning.Selection, per_minute: int = AT_ONCE) -> float | None:
    return planning.plan(settings, selection, per_minute).hours


def test_hours_are_those_of_every_stage_that_is_done_again_and_of_the_run_itself(settings: Settings, older: Recipes):
    with transaction(settings.database) as session:
        space_id = spaces.register(session, SPEC).id
    published(settings, older, 60)  # older shots make stills and vectors older, too
    took(settings, shots=60, stills=20, publish=1, transcode=1_000)
    assert hours(settings, SHOTS) is None, "vectors were never made here"
    took(settings, embed=33)
    # 60 videos: seconds of each are minutes of all. The transcode is up to date and not done again.
    assert hours(settings, SHOTS) == round((60 + 20 + 33 + 1 + planning.RUN_S) / 60, 2)
    tiny = planning.Selection(stage=Stage.EMBED, space="tiny")
    assert hours(settings, tiny) is None, "by this encoder nothing was embedded yet, whatever others took"
    embedded(settings, space_id, 40, 44)
    assert hours(settings, tiny) == round((42 + planning.RUN_S) / 60, 2)
    assert hours(settings, SHOTS, per_minute=1) == round(120 / 60, 2), "a run takes longer than a minute"
    assert hours(settings, tiny, per_minute=1) == 1, "the rate bounds it"


def test_dates_bound_what_is_counted_and_done_in_a_library_of_any_size(settings: Settings, older: Recipes):
    videos = published(settings, older, planning.SAMPLE + 30)
    since = dt.datetime.now(dt.UTC) - dt.timedelta(hours=planning.SAMPLE + 0.5)
    assert planning.plan(settings, SHOTS, AT_ONCE).videos == len(videos)
    assert planning.plan(settings, SHOTS.model_copy(update={"since": since}), AT_ONCE).videos == planning.SAMPLE
    assert planning.plan(settings, SHOTS.model_copy(update={"owner": "somebody else"}), AT_ONCE).videos == 0


def test_a_new_space_is_estimated_before_it_has_rows(settings: Settings):
    published(settings, Recipes(settings), 2)
    with transaction(settings.database) as session:
        space_id = spaces.register(session, SPEC).id
    embedded(settings, space_id, 30)
    planned = planning.plan(settings, planning.Selection(stage=Stage.EMBED, space="tiny"), AT_ONCE)
    assert (planned.videos, planned.hours) == (2, round(2 * (30 + planning.RUN_S) / 3600, 2))


def test_the_configured_space_is_known_by_its_encoder_whatever_the_settings_call_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = save_clip(tmp_path / "mine", dim=16)
    monkeypatch.setenv("DAILIES_ENCODER__NAME", str(folder))
    get_settings.cache_clear()
    ours = get_settings()
    with transaction(ours.database) as session:
        spaces.register(session, spec_for(ours.encoder).model_copy(update={"revision": "older"}))
    aim = planning.target(ours, planning.Selection(stage=Stage.EMBED))
    with transaction(ours.database) as session:
        found = spaces.find_space(session, spec_for(ours.encoder))
        assert found is not None
        assert aim.space == str(found.id)
