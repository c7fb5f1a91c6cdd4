"""Failed videos, grouped by what went wrong, and chosen for a rerun."""

import datetime as dt
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ARRAY, DateTime, Interval, Uuid, cast, func, literal, or_, select, true, update
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from models import attempts
from models.stage_run import StageRun
from models.states import VideoStatus
from models.video import Video

#: Videos lined up in one statement.
BATCH: Final = 10_000


class FailureGroup(BaseModel):
    """Failed videos that share stage, error class and normalised message."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    fingerprint: str
    stage: str | None
    error_class: str
    #: Message of one of them.
    sample: str
    sample_video_id: UUID
    count: int
    #: How many of them wait for their turn in a redrive, or have it.
    waiting: int
    first_seen: dt.datetime
    last_seen: dt.datetime


def failure_groups(session: Session, owner_id: str | None = None) -> list[FailureGroup]:
    """Give the groups of failed videos, the largest first."""
    # Seen in the ledger: a rerun changes the video's own row, and fails again of the same. Without one, the row says when.
    is_rerun = or_(Video.attempt > 1, Video.rerun_at.is_not(None), Video.redrive_at.is_not(None))
    seen = (
        select(func.min(StageRun.ended_at).label("first"), func.max(StageRun.ended_at).label("last"))
        .where(is_rerun, StageRun.video_id == Video.id, StageRun.error_fingerprint == Video.error_fingerprint)
        .lateral("seen")
    )
    groups = (
        select(
            Video.error_fingerprint.label("fingerprint"),
            func.min(Video.error_stage).label("stage"),
            func.min(Video.error_class).label("error_class"),
            # Ids alone: the messages of a hundred thousand failures would be hundreds of megabytes.
            func.array_agg(aggregate_order_by(Video.id, Video.updated_at.desc(), Video.id))[1].label("newest"),
            func.count().label("count"),
            func.count(Video.redrive_at).label("waiting"),
            func.min(func.coalesce(seen.c.first, Video.updated_at)).label("first_seen"),
            func.max(func.coalesce(seen.c.last, Video.updated_at)).label("last_seen"),
        )
        .join(seen, true())
        .where(Video.status == VideoStatus.FAILED)
        .group_by(Video.error_fingerprint)
    )
    if owner_id is not None:
        groups = groups.where(Video.owner_id == owner_id)
    of = groups.subquery("groups")
    query = (
        select(of, Video.error_message.label("sample"), Video.id.label("sample_video_id"))
        .join(Video, Video.id == of.c.newest)
        .order_by(of.c["count"].desc(), of.c.fingerprint)
    )
    return [FailureGroup.model_validate(row) for row in session.execute(query)]


def select_for_rerun(
    session: Session,
    *,
    status: VideoStatus = VideoStatus.FAILED,
    fingerprint: str | None = None,
    owner_id: str | None = None,
) -> Sequence[UUID]:
    """Give the ids of failed (or rejected) videos that nobody has asked to rerun yet, oldest first.

    Args:
        fingerprint: keeps one group of failures.
    """
    # Without an object there is nothing to rerun: an upload that was announced and never came.
    query = (
        select(Video.id)
        .where(Video.status == status, Video.source.has(), Video.rerun_at.is_(None), Video.redrive_at.is_(None))
        .order_by(Video.updated_at, Video.id)
    )
    if fingerprint is not None:
        query = query.where(Video.error_fingerprint == fingerprint)
    if owner_id is not None:
        query = query.where(Video.owner_id == owner_id)
    return session.scalars(query).all()


def line_up(session: Session, video_ids: Sequence[UUID], gap: dt.timedelta) -> dt.datetime:
    """Give each of these videos a turn, behind those who wait already; give the time of the last one.

    Callers that line up at the same moment wait for one another.
    """
    now = dt.datetime.now(dt.UTC)
    newest = session.scalar(select(func.max(Video.redrive_at)))
    first = max(now, newest + gap) if newest else now
    for begin in range(0, len(video_ids), BATCH):
        batch = video_ids[begin : begin + BATCH]
        turns = func.unnest(cast(batch, ARRAY(Uuid))).table_valued("id", with_ordinality="place")
        turns = turns.render_derived(name="turn")
        session.execute(
            update(Video)
            .where(Video.id == turns.c.id)
            # Standing in line is no change of the video: it stays as old as its failure.
            .values(
                redrive_at=literal(first + gap * (begin - 1), DateTime(timezone=True))
                + turns.c.place * literal(gap, Interval),
                updated_at=Video.updated_at,
            )
            .execution_options(synchronize_session=False)
        )
    return first + gap * max(0, len(video_ids) - 1)


def take_turns(session: Session, at_once: int) -> list[UUID]:
    """Ask for the rerun of videos whose turn it is, as many as make `at_once` with those that have it; give their ids."""
    having = session.scalar(select(func.count()).where(Video.redrive_at.is_not(None), Video.rerun_at.is_not(None)))
    room = at_once - (having or 0)
    if room <= 0:
        return []
    due = (
        select(Video)
        .where(Video.redrive_at <= dt.datetime.now(dt.UTC), Video.rerun_at.is_(None))
        .order_by(Video.redrive_at)
        .limit(room)
        .with_for_update()
    )
    turns = session.scalars(due).all()
    for video in turns:
        attempts.ask(video)
    return [video.id for video in turns]


def waiting_for_a_turn(session: Session) -> int:
    """Count the videos of a redrive that wait for their turn, or have it and have not ended."""
    return session.scalar(select(func.count()).where(Video.redrive_at.is_not(None))) or 0


def give_up_turn(session: Session, video_id: UUID) -> None:
    """Take a video that cannot be rerun out of the line."""
    attempts.ended(session.get_one(Video, video_id, with_for_update=True))
