"""The inbox: how an uploaded object becomes a video, exactly once per source version."""

import datetime as dt
from collections.abc import Collection
from pathlib import PurePosixPath
from uuid import UUID, uuid4

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from core.values import SourceVersion
from models.source_object import SourceObject
from models.states import Queue, VideoStatus
from models.video import Video


def announce(
    session: Session,
    *,
    owner_id: str,
    file_name: str,
    title: str | None = None,
    description: str | None = None,
    content_type: str | None = None,
) -> Video:
    """Make the row of a video whose object is still to come."""
    video = Video(
        id=uuid4(),
        owner_id=owner_id,
        title=title or title_from(file_name),
        description=description,
        file_name=file_name,
        content_type=content_type,
        status=VideoStatus.UPLOADING,
    )
    session.add(video)
    session.flush()
    return video


def title_from(name: str) -> str:
    """Read a title out of a file name or key."""
    return PurePosixPath(name.rstrip("/")).stem.replace("_", " ").strip() or "untitled"


def record_source(
    session: Session,
    source: SourceVersion,
    *,
    owner_id: str,
    announced: UUID | None = None,
    queue: Queue = Queue.UPLOADS,
) -> SourceObject:
    """Upsert the inbox row of one source version, with its video; ten calls make one row.

    Args:
        announced: the video that `upload/init` made for this key; its first object becomes that video,
            every later version of the key a video of its own with the same title.
    """
    # Deliveries of one key wait for one another: the row is looked for and made as one step.
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"{source.bucket}/{source.key}"}
    )
    if (known := recorded(session, source)) is not None:
        return known
    video = _video_for(session, source, owner_id, announced)
    row = SourceObject(
        id=uuid4(),
        video_id=video.id,
        bucket=source.bucket,
        key=source.key,
        version=source.version,
        version_id=source.version_id,
        etag=source.etag,
        last_modified=source.last_modified,
        size_bytes=source.size_bytes,
        queue=queue,
    )
    session.add(row)
    session.flush()
    return row


def recorded(session: Session, source: SourceVersion) -> SourceObject | None:
    """Give the inbox row of a source version that has one."""
    return session.scalar(
        select(SourceObject).where(
            SourceObject.bucket == source.bucket,
            SourceObject.key == source.key,
            SourceObject.version == source.version,
        )
    )


def _video_for(session: Session, source: SourceVersion, owner_id: str, announced: UUID | None) -> Video:
    template = session.get(Video, announced, with_for_update=True) if announced else None
    if template is not None and template.status is VideoStatus.UPLOADING:
        template.status = VideoStatus.VALIDATING
        template.size_bytes = source.size_bytes
        return template
    video = Video(
        id=uuid4(),
        owner_id=template.owner_id if template else owner_id,
        title=template.title if template else title_from(source.key),
        description=template.description if template else None,
        file_name=template.file_name if template else PurePosixPath(source.key).name,
        content_type=template.content_type if template else None,
        size_bytes=source.size_bytes,
        status=VideoStatus.VALIDATING,
    )
    session.add(video)
    session.flush()
    return video


def waiting(session: Session, limit: int = 100, besides: Collection[UUID] = ()) -> list[SourceObject]:
    """Give the inbox rows that no run was asked for yet, besides some that were refused, oldest first."""
    unasked = select(SourceObject).where(SourceObject.dispatched_at.is_(None), SourceObject.id.not_in(besides))
    rows = unasked.order_by(SourceObject.seen_at).limit(limit)
    return list(session.scalars(rows))


def mark_dispatched(session: Session, source_id: UUID, flow_run_id: UUID) -> None:
    """Note the run that Prefect accepted for an inbox row."""
    video_id = session.scalar(
        update(SourceObject)
        .where(SourceObject.id == source_id)
        .values(dispatched_at=func.coalesce(SourceObject.dispatched_at, dt.datetime.now(dt.UTC)))
        .returning(SourceObject.video_id)
    )
    session.execute(update(Video).where(Video.id == video_id).values(flow_run_id=flow_run_id))
