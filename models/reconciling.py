"""What reconcile asks of the records: videos that need a run, uploads that never came, objects nobody announced."""

import datetime as dt
from collections.abc import Collection, Iterable
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import case, func, or_, select, text, true, update
from sqlalchemy.orm import Session

from core.errors import InvalidMedia
from models.derived_file import DerivedFile
from models.installation import Installation
from models.rendition import Rendition
from models.scene import Scene
from models.source_object import SourceObject
from models.states import LIVE_STATUSES, Queue, VideoStatus
from models.video import Video

#: A run must be alive for it, or about to be.
_LIVE: Final = or_(Video.status.in_(LIVE_STATUSES), Video.rerun_at.is_not(None))


class LiveVideo(BaseModel):
    """A video that must have a live run, and what is known of that run: one on its way, or one that is rerun."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    video_id: UUID
    title: str
    source_id: UUID
    attempt: int
    flow_run_id: UUID | None
    auto_resumes: int
    #: Seconds since its newest attempt gave a sign of life, by the database's clock; None when it never gives any.
    alive_s: float | None
    #: When a rerun was asked for, while it has not ended.
    rerun_at: dt.datetime | None
    queue: Queue
    dispatched_at: dt.datetime


def live_videos(
    session: Session, after: UUID | None, limit: int, *, begun_or_of: Collection[UUID] | None = None
) -> list[LiveVideo]:
    """Give a page of the videos that a run must be working on, or is to, by id; its inbox row was dispatched.

    Args:
        after: the last id of the page before; None begins.
        begun_or_of: leave out those that wait for their first attempt, unless it is in one of these runs.
    """
    begun = or_(Video.attempt > 0, Video.rerun_at.is_not(None))
    rows = session.execute(
        select(
            Video.id.label("video_id"),
            Video.title,
            SourceObject.id.label("source_id"),
            Video.attempt,
            Video.flow_run_id,
            Video.auto_resumes,
            case(
                (
                    Video.alive_attempt == Video.attempt,
                    func.extract("epoch", func.clock_timestamp() - Video.alive_at),
                )
            ).label("alive_s"),
            Video.rerun_at,
            SourceObject.queue,
            SourceObject.dispatched_at,
        )
        .join(SourceObject, SourceObject.video_id == Video.id)
        .where(_LIVE, SourceObject.dispatched_at.is_not(None))
        .where(Video.id > after if after else true())
        .where(true() if begun_or_of is None else or_(begun, Video.flow_run_id.in_(begun_or_of)))
        .order_by(Video.id)
        .limit(limit)
    )
    return [LiveVideo.model_validate(row) for row in rows]


def count_auto_resume(session: Session, video_id: UUID, seen: int) -> bool:
    """Take the next automatic resume of a video; False when somebody else took it or the video moved on."""
    taken = session.execute(
        update(Video)
        .where(Video.id == video_id, Video.auto_resumes == seen, _LIVE)
        .values(auto_resumes=seen + 1)
        .returning(Video.id)
    )
    return taken.first() is not None


def expire_uploads(session: Session, before: dt.datetime) -> int:
    """Reject videos that were announced before this instant and never uploaded; give their number."""
    expired = session.execute(
        update(Video)
        .where(Video.status == VideoStatus.UPLOADING, Video.created_at < before)
        .values(
            status=VideoStatus.REJECTED,
            reject_reason="upload_expired",
            reject_sentence=InvalidMedia.SENTENCES["upload_expired"],
        )
        .returning(Video.id)
    )
    return len(expired.all())


def unknown_keys(session: Session, bucket: str, found: Iterable[tuple[str, str, dt.datetime]]) -> list[str]:
    """Of (key, etag, last modified) as listed, give the keys whose newest version is not in the inbox.

    Listings may round times to the second, so versions are compared by etag and second.
    """
    listed = {key: (etag, at.replace(microsecond=0)) for key, etag, at in found}
    rows = session.execute(
        select(SourceObject.key, SourceObject.etag, SourceObject.last_modified).where(
            SourceObject.bucket == bucket, SourceObject.key.in_(list(listed))
        )
    )
    known = {(key, etag, at.replace(microsecond=0)) for key, etag, at in rows}
    return [key for key, (etag, at) in listed.items() if (key, etag, at) not in known]


def to_sweep(session: Session, before: dt.datetime, limit: int) -> list[tuple[UUID, int]]:
    """Give (id, newest attempt) of ended videos that took more than one attempt, the longest unswept first.

    Args:
        before: those that were swept since then are left out, unless they have changed.
    """
    rows = session.execute(
        select(Video.id, Video.attempt)
        .where(
            Video.status.in_([VideoStatus.INDEXED, VideoStatus.REJECTED, VideoStatus.FAILED]),
            Video.attempt > 1,
            or_(Video.swept_at.is_(None), Video.swept_at < Video.updated_at, Video.swept_at < before),
        )
        .order_by(Video.swept_at.asc().nulls_first())
        .limit(limit)
    )
    return [(video_id, attempt) for video_id, attempt in rows]


def with_chunks(session: Session, limit: int) -> list[tuple[UUID, int]]:
    """Give (id, newest attempt) of videos that ended and whose chunks nobody removed: its process died first.

    One that is rerun needs its chunks until that has ended, too.
    """
    rows = session.execute(
        select(Video.id, Video.attempt)
        .where(
            Video.has_chunks,
            Video.status.in_([VideoStatus.INDEXED, VideoStatus.REJECTED]),
            Video.rerun_at.is_(None),
        )
        .limit(limit)
    )
    return [(video_id, attempt) for video_id, attempt in rows]


def mark_swept(session: Session, video_id: UUID, at: dt.datetime) -> None:
    """Note when a sweep of a video began; that is no change of the video."""
    session.execute(update(Video).where(Video.id == video_id).values(swept_at=at, updated_at=Video.updated_at))


def files_in_rows(session: Session, video_id: UUID) -> set[str]:
    """Give the keys of every derived file that a video's rows name."""
    video = session.get(Video, video_id)
    named = {video.contact_sheet_key, video.proxy_key} if video else set()
    columns = (
        (Rendition.key, Rendition.video_id),
        (Scene.poster_key, Scene.video_id),
        (DerivedFile.key, DerivedFile.video_id),
    )
    for column, owner in columns:
        named |= set(session.scalars(select(column).where(owner == video_id)))
    return {key for key in named if key}


def installation(session: Session) -> Installation:
    """Give the row about this installation."""
    return session.scalars(select(Installation)).one()


def waiting_in(session: Session, queue: Queue) -> int:
    """Count the inbox rows of a queue whose videos have not ended."""
    query = (
        select(func.count())
        .select_from(SourceObject)
        .join(Video, Video.id == SourceObject.video_id)
        .where(SourceObject.queue == queue, Video.status.in_(LIVE_STATUSES))
    )
    return session.scalar(query) or 0


def lock(session: Session, number: int) -> None:
    """Wait for an advisory lock and hold it for this transaction."""
    session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
