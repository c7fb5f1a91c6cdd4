"""The ledger: writes and reads of `stage_run`."""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.failures import error_fingerprint
from core.stages import Stage
from core.values import Ticket
from models.stage_run import StageGeneration, StageRun
from models.states import StageState


class StageSummary(BaseModel):
    """What became of one stage of one video, over all attempts."""

    model_config = ConfigDict(frozen=True)

    stage: Stage
    state: StageState
    #: How often it was executed.
    attempts: int
    #: Whether the newest attempt found its result in the store.
    reused: bool
    #: Wall seconds of the newest execution that ended, over its retries.
    seconds: float


def start(session: Session, ticket: Ticket, stage: Stage, fingerprint: str | None, flow_run_id: UUID | None) -> UUID:
    """Open a row for one execution of a stage; give its id."""
    # An entry of this attempt that is still open belongs to a try whose end could not be written.
    _abandon(session, StageRun.video_id == ticket.video_id, StageRun.stage == stage, StageRun.attempt == ticket.attempt)
    row = StageRun(
        id=uuid4(),
        video_id=ticket.video_id,
        stage=stage,
        fingerprint=fingerprint,
        attempt=ticket.attempt,
        flow_run_id=flow_run_id,
        state=StageState.RUNNING,
    )
    session.add(row)
    session.flush()
    return row.id


def finish(session: Session, run_id: UUID) -> None:
    """Close a row as done."""
    session.execute(
        update(StageRun)
        .where(StageRun.id == run_id, StageRun.state == StageState.RUNNING)
        .values(state=StageState.DONE, ended_at=func.clock_timestamp())
    )


def fail(session: Session, run_id: UUID, error_class: str, message: str) -> None:
    """Close a row as failed."""
    stage = session.scalar(select(StageRun.stage).where(StageRun.id == run_id))
    session.execute(
        update(StageRun)
        .where(StageRun.id == run_id, StageRun.state == StageState.RUNNING)
        .values(
            state=StageState.FAILED,
            ended_at=func.clock_timestamp(),
            error_class=error_class,
            error_message=message,
            error_fingerprint=error_fingerprint(stage, error_class, message),
        )
    )


def reuse(session: Session, ticket: Ticket, stage: Stage, fingerprint: str | None, flow_run_id: UUID | None) -> None:
    """Note that a stage's result was found in the store."""
    now = dt.datetime.now(dt.UTC)
    session.add(
        StageRun(
            id=uuid4(),
            video_id=ticket.video_id,
            stage=stage,
            fingerprint=fingerprint,
            attempt=ticket.attempt,
            flow_run_id=flow_run_id,
            state=StageState.REUSED,
            started_at=now,
            ended_at=now,
        )
    )


def close_abandoned(session: Session, video_id: UUID, before_attempt: int) -> int:
    """Close rows that earlier attempts left open when their process died; give their number."""
    return _abandon(session, StageRun.video_id == video_id, StageRun.attempt < before_attempt)


def _abandon(session: Session, *which: ColumnElement[bool]) -> int:
    closed = session.execute(
        update(StageRun)
        .where(StageRun.state == StageState.RUNNING, *which)
        .values(
            state=StageState.FAILED,
            ended_at=func.clock_timestamp(),
            error_class="Abandoned",
            error_message="The process that worked on it ended without a word.",
            error_fingerprint=error_fingerprint(None, "Abandoned", ""),
        )
        .returning(StageRun.id)
    )
    return len(closed.all())


def stage_at_work(session: Session, video_id: UUID) -> Stage | None:
    """Give the stage that the ledger says is running; None when none is."""
    return session.scalar(
        select(StageRun.stage)
        .where(StageRun.video_id == video_id, StageRun.state == StageState.RUNNING)
        .order_by(StageRun.started_at.desc())
        .limit(1)
    )


def redo_from(session: Session, video_id: UUID, stages: Sequence[Stage]) -> None:
    """Raise the generation of these stages, so that their results are made anew."""
    for stage in stages:
        session.execute(
            insert(StageGeneration)
            .values(video_id=video_id, stage=stage, generation=1)
            .on_conflict_do_update(
                index_elements=[StageGeneration.video_id, StageGeneration.stage],
                set_={"generation": StageGeneration.generation + 1},
            )
        )


def summarise(runs: Sequence[StageRun]) -> list[StageSummary]:
    """Sum up a video's ledger, stages in their order."""
    by_stage: dict[Stage, list[StageRun]] = defaultdict(list)
    for run in runs:
        by_stage[run.stage].append(run)
    return [_summary(stage, by_stage[stage]) for stage in Stage if stage in by_stage]


def _summary(stage: Stage, runs: list[StageRun]) -> StageSummary:
    runs = sorted(runs, key=lambda run: (run.attempt, run.started_at))
    executed = [run for run in runs if run.state is not StageState.REUSED]
    timed = [run for run in executed if run.ended_at is not None]
    newest = timed[-1].attempt if timed else None
    spent = sum(
        (run.ended_at - run.started_at).total_seconds() for run in timed if run.attempt == newest and run.ended_at
    )
    return StageSummary(
        stage=stage,
        state=runs[-1].state,
        attempts=len(executed),
        reused=runs[-1].state is StageState.REUSED,
        seconds=round(spent, 3),
    )
