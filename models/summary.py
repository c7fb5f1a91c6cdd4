"""What the ledger says of each stage of one video, summed up over shares and attempts."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from core.stages import Stage
from models.stage_run import StageRun
from models.states import StageState

_ENDED_WELL = (StageState.DONE, StageState.REUSED)


class StageProgress(BaseModel):
    """How far a running stage is."""

    model_config = ConfigDict(frozen=True)

    percent: float
    #: Frames per second, over everything that runs.
    fps: float
    #: Seconds of media per second of wall time.
    speed: float
    #: Seconds until the end at this speed; None before there is one.
    eta_s: float | None


class StageSummary(BaseModel):
    """What became of one stage of one video, over all attempts."""

    model_config = ConfigDict(frozen=True)

    stage: Stage
    state: StageState
    #: How often it was executed.
    attempts: int
    #: Shares it was cut into so far; 1 for a stage that is done at once.
    parts: int
    #: Of those, how many are done or were found in the store by the newest attempt.
    parts_done: int
    #: Only while it runs.
    progress: StageProgress | None
    #: Whether the newest attempt found its result in the store.
    reused: bool
    #: Wall seconds that the newest attempt with an execution worked on it; shares side by side count once.
    seconds: float


def summarise(runs: Sequence[StageRun], duration_s: Decimal | None = None) -> list[StageSummary]:
    """Sum up a video's ledger, stages in their order.

    Args:
        duration_s: of the video, when it is known: progress is told against it.
    """
    by_stage: dict[Stage, list[StageRun]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.attempt, run.started_at)):
        by_stage[run.stage].append(run)
    return [_summary(stage, by_stage[stage], duration_s) for stage in Stage if stage in by_stage]


def _summary(stage: Stage, runs: list[StageRun], duration_s: Decimal | None) -> StageSummary:
    by_part: dict[str | None, list[StageRun]] = defaultdict(list)
    for run in runs:
        by_part[run.part].append(run)
    # What each share came to in the newest attempt; an older attempt's shares may be cut differently.
    now = {part: tries[-1] for part, tries in by_part.items() if tries[-1].attempt == runs[-1].attempt}
    state = _state(now)
    return StageSummary(
        stage=stage,
        state=state,
        attempts=max(sum(run.state is not StageState.REUSED for run in tries) for tries in by_part.values()),
        parts=len(now),
        parts_done=sum(run.state in _ENDED_WELL for run in now.values()),
        progress=_progress(now.values(), duration_s) if state is StageState.RUNNING and duration_s else None,
        reused=state is StageState.REUSED,
        seconds=_seconds(runs),
    )


def _state(now: dict[str | None, StageRun]) -> StageState:
    """Tell the state of a stage from its shares; the one without a name comes last and finishes it."""
    states = {run.state for run in now.values()}
    if StageState.RUNNING in states:
        return StageState.RUNNING
    if StageState.FAILED in states:
        return StageState.FAILED
    return now[None].state if None in now else StageState.RUNNING


def _progress(now: Iterable[StageRun], duration_s: Decimal) -> StageProgress | None:
    shares = [run for run in now if run.media_s is not None]
    if not shares:
        return None
    running = [run for run in shares if run.state is StageState.RUNNING]
    done = float(sum((run.media_s if run.state in _ENDED_WELL else run.done_s) or 0 for run in shares))
    speed = sum(run.speed or 0.0 for run in running)
    left = max(0.0, float(duration_s) - done)
    return StageProgress(
        percent=round(min(100.0, 100 * done / float(duration_s)), 1),
        fps=round(sum(run.fps or 0.0 for run in running), 1),
        speed=round(speed, 2),
        eta_s=round(left / speed, 1) if speed else None,
    )


def _seconds(runs: list[StageRun]) -> float:
    ended = [
        (run.started_at, run.ended_at, run.attempt)
        for run in runs
        if run.ended_at and run.state is not StageState.REUSED
    ]
    spans = [(start, end) for start, end, attempt in sorted(ended) if attempt == max(row[2] for row in ended)]
    spent, until = 0.0, None
    for start, end in spans:
        if until is None or end > until:
            spent += (end - (start if until is None else max(start, until))).total_seconds()
            until = end
    return round(spent, 3)
