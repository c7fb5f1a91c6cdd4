"""What people ask: videos, their parts, and which encoder answers searches."""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session, selectinload

from models.encoder import Encoder
from models.source_object import SourceObject
from models.states import VideoStatus
from models.video import Video


def video_with_parts(session: Session, video_id: UUID) -> Video | None:
    """Give a video with its source, renditions, shots, scenes and ledger; None when there is none."""
    return session.scalar(
        select(Video)
        .where(Video.id == video_id)
        .options(
            selectinload(Video.source),
            selectinload(Video.renditions),
            selectinload(Video.files),
            selectinload(Video.shots),
            selectinload(Video.scenes),
            selectinload(Video.stage_runs),
        )
    )


def list_videos(
    session: Session,
    *,
    owner_id: str | None = None,
    status: VideoStatus | None = None,
    ids: tuple[UUID, UUID] | None = None,
    key: str | None = None,
    after: tuple[dt.datetime, UUID] | None = None,
    limit: int = 50,
) -> Sequence[Video]:
    """Give videos, newest first.

    Args:
        ids: the lowest and the highest id wanted.
        key: of the object they were uploaded as; each version of it is a video.
        after: the last one's (created_at, id) of the page before.
    """
    query = select(Video).order_by(Video.created_at.desc(), Video.id.desc()).limit(limit)
    if owner_id is not None:
        query = query.where(Video.owner_id == owner_id)
    if status is not None:
        query = query.where(Video.status == status)
    if ids is not None:
        query = query.where(Video.id.between(*ids))
    if key is not None:
        query = query.where(Video.source.has(SourceObject.key == key))
    if after is not None:
        query = query.where(tuple_(Video.created_at, Video.id) < after)
    return session.scalars(query).all()


def active_encoder(session: Session) -> Encoder | None:
    """Give the encoder that answers searches; None before anything was indexed."""
    return session.scalar(select(Encoder).where(Encoder.is_active))
