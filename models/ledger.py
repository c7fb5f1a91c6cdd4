"""The ledger: writes of `stage_run`; models/summary.py sums it up."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from core.failures import error_fingerprint
from core.stages import Stage
from core.values import Ticket
from models import stage_statistic
from models.stage_run import StageGeneration, StageRun
from models.stage_statistic import Noted
from models.states import StageState


@dataclass(frozen=True)
class Share:
    """Which share of a stage one execution is."""

    #: Such as "chunk 3"; one of a kind in its stage.
    label: str
    #: Seconds of media time in it, where that is known.
    media_s: Decimal | None = None


def start(
    session: Session,
    ticket: Ticket,
    stage: Stage,
    fingerprint: str | None,
    flow_run_id: UUID | None,
    share: Share | None = None,
) -> UUID:
    """Open a row for one execution of a stage, or of a share of it; give its id."""
    part = share.label if share else None
    before = (  # tries of this share in this attempt
        StageRun.video_id == ticket.video_id,
        StageRun.stage == stage,
        StageRun.part.is_not_distinct_from(part),
        StageRun.attempt == ticket.attempt,
    )
    # Embedding has one result a space, and several spaces may be filled at a time: only the same one is tried again.
    same = (*before, StageRun.fingerprint.is_not_distinct_from(fingerprint))
    # An entry that is still open belongs to a try whose end could not be written.
    _abandon(session, *same)
    if session.scalar(select(select(StageRun.id).where(*same, StageRun.state != StageState.REUSED).exists())):
        stage_statistic.note(session, Noted.RETRIED, stage, part)
    row = StageRun(
        id=uuid4(),
        video_id=ticket.video_id,
        stage=stage,
        fingerprint=fingerprint,
        attempt=ticket.attempt,
        flow_run_id=flow_run_id,
        state=StageState.RUNNING,
        part=part,
        media_s=share.media_s if share else None,
    )
    session.add(row)
    session.flush()
    return row.id


def advance(session: Session, run_id: UUID, *, done_s: Decimal, fps: float, speed: float | None) -> None:
    """Note how far a running execution is: seconds of media time done, and how fast."""
    session.execute(
        update(StageRun)
        .where(StageRun.id == run_id, StageRun.state == StageState.RUNNING)
        .values(done_s=done_s, fps=fps, speed=speed)
    )


def finish(session: Session, run_id: UUID, media_s: Decimal | None = None) -> None:
    """Close a row as done.

    Args:
        media_s: seconds of media time it worked through, where its share does not say.
    """
    if (closed := _close(session, run_id, state=StageState.DONE)) is not None:
        _count(session, closed, media_s)


def _close(session: Session, run_id: UUID, **values: object) -> StageRun | None:
    """End a running row; None when it has ended, and stays as it is."""
    closing = (
        update(StageRun)
        .where(StageRun.id == run_id, StageRun.state == StageState.RUNNING)
        .values(ended_at=func.clock_timestamp(), **values)
        .returning(StageRun)
        .execution_options(populate_existing=True)
    )
    return session.scalar(closing)


def _count(session: Session, closed: StageRun, media_s: Decimal | None = None) -> None:
    assert closed.ended_at is not None
    taken = (closed.ended_at - closed.started_at).total_seconds()
    media = float(closed.media_s or media_s or 0)
    stage_statistic.count(session, closed.stage, closed.part, closed.state, taken, media)


def fail(session: Session, run_id: UUID, error_class: str, message: str, *, is_verdict: bool = False) -> None:
    """Close a row as failed.

    Args:
        is_verdict: the media is bad: nothing of ours failed, and it counts as rejected.
    """
    stage = session.scalar(select(StageRun.stage).where(StageRun.id == run_id))
    closed = _close(
        session,
        run_id,
        state=StageState.FAILED,
        error_class=error_class,
        error_message=message,
        error_fingerprint=error_fingerprint(stage, error_class, message),
    )
    if closed is not None and is_verdict:
        stage_statistic.note(session, Noted.REJECTED, closed.stage, closed.part)
    elif closed is not None:
        _count(session, closed)


def reuse(
    session: Session,
    ticket: Ticket,
    stage: Stage,
    fingerprint: str | None,
    flow_run_id: UUID | None,
    share: Share | None = None,
) -> None:
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
            part=share.label if share else None,
            media_s=share.media_s if share else None,
            started_at=now,
            ended_at=now,
        )
    )
    stage_statistic.count(session, stage, share.label if share else None, StageState.REUSED, 0.0, 0.0)


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
        .returning(StageRun.stage, StageRun.part)
    ).all()
    # In one order, so that no two transactions wait for each other's counters.
    for stage, part in sorted(closed, key=lambda row: (row.stage, row.part or "")):
        stage_statistic.note(session, Noted.ABANDONED, stage, part)
    return len(closed)


def stage_at_work(session: Session, video_id: UUID) -> Stage | None:
    """Give the stage that the ledger says is running; None when none is."""
    return session.scalar(
        select(StageRun.stage)
        .where(StageRun.video_id == video_id, StageRun.state == StageState.RUNNING)
        .order_by(StageRun.started_at.desc())
        .limit(1)
    )


def last_failure(session: Session, video_id: UUID, attempt: int) -> tuple[Stage, str, str] | None:
    """Give stage, class and message of an attempt's newest error that no retry has made good; None when there is none."""
    retried = aliased(StageRun)
    made_good = exists().where(
        retried.video_id == StageRun.video_id,
        retried.attempt == StageRun.attempt,
        retried.stage == StageRun.stage,
        retried.part.is_not_distinct_from(StageRun.part),
        retried.state.in_((StageState.DONE, StageState.REUSED)),
    )
    found = session.execute(
        select(StageRun.stage, StageRun.error_class, StageRun.error_message)
        .where(StageRun.video_id == video_id, StageRun.attempt == attempt, StageRun.state == StageState.FAILED)
        .where(~made_good)
        .order_by(StageRun.ended_at.desc())
        .limit(1)
    ).one_or_none()
    return (found.stage, found.error_class, found.error_message or "") if found else None


def finished(session: Session, video_id: UUID, stage: Stage) -> list[str]:
    """Give the fingerprints of a stage's results, the newest first."""
    rows = session.scalars(
        select(StageRun.fingerprint)
        .where(
            StageRun.video_id == video_id,
            StageRun.stage == stage,
            StageRun.state.in_((StageState.DONE, StageState.REUSED)),
            StageRun.fingerprint.is_not(None),
        )
        .order_by(StageRun.started_at.desc())
    )
    return list(dict.fromkeys(name for name in rows if name is not None))


def was_executed(session: Session, ticket: Ticket, stage: Stage, fingerprint: str) -> bool:
    """Say whether this attempt made a result itself, and did not find it in the store."""
    made = select(StageRun.id).where(
        StageRun.video_id == ticket.video_id,
        StageRun.stage == stage,
        StageRun.attempt == ticket.attempt,
        StageRun.fingerprint == fingerprint,
        StageRun.state == StageState.DONE,
    )
    return bool(session.scalar(select(made.exists())))


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
