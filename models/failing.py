"""Failed videos, grouped by what went wrong, and chosen for a rerun."""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.states import VideoStatus
from models.video import Video


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
    first_seen: dt.datetime
    last_seen: dt.datetime


def failure_groups(session: Session, owner_id: str | None = None) -> list[FailureGroup]:
    """Give the groups of failed videos, the largest first."""
    query = (
        select(
            Video.error_fingerprint.label("fingerprint"),
            func.min(Video.error_stage).label("stage"),
            func.min(Video.error_class).label("error_class"),
            func.min(Video.error_message).label("sample"),
            func.array_agg(Video.id)[1].label("sample_video_id"),
            func.count().label("count"),
            func.min(Video.updated_at).label("first_seen"),
            func.max(Video.updated_at).label("last_seen"),
        )
        .where(Video.status == VideoStatus.FAILED)
        .group_by(Video.error_fingerprint)
        .order_by(func.count().desc(), Video.error_fingerprint)
    )
    if owner_id is not None:
        query = query.where(Video.owner_id == owner_id)
    return [FailureGroup.model_validate(row) for row in session.execute(query)]


def select_for_rerun(
    session: Session,
    *,
    status: VideoStatus = VideoStatus.FAILED,
    fingerprint: str | None = None,
    owner_id: str | None = None,
    limit: int,
) -> Sequence[UUID]:
    """Give the ids of failed (or rejected) videos, oldest first; `fingerprint` keeps one group of failures."""
    # Without an object there is nothing to rerun: an upload that was announced and never came.
    query = select(Video.id).where(Video.status == status, Video.source.has()).order_by(Video.updated_at).limit(limit)
    if fingerprint is not None:
        query = query.where(Video.error_fingerprint == fingerprint)
    if owner_id is not None:
        query = query.where(Video.owner_id == owner_id)
    return session.scalars(query).all()
