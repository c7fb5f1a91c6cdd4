"""What metrics ask of the records."""

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import stage_statistic
from models.counter import Counter
from models.source_object import SourceObject
from models.stage_run import StageRun
from models.states import LIVE_STATUSES, Queue, VideoStatus
from models.video import Video


class Measures(BaseModel):
    """How much there is of everything but videos; see `count_videos`."""

    model_config = ConfigDict(frozen=True)

    #: Uploads that no run was asked for yet, by queue, and the age of the oldest one in seconds.
    waiting: dict[Queue, int]
    oldest_waiting_s: float
    #: Seconds since the ledger or the status last moved, of the video in work where that is longest.
    longest_silence_s: float
    #: Totals since the installation, such as `recovered_unannounced`.
    counters: dict[str, int]
    stages: list[stage_statistic.Ended]


def measure(session: Session) -> Measures:
    """Read what metrics tell; a few rows of sums, and the rows of what waits or is in work."""
    now = func.clock_timestamp()
    waiting = session.execute(
        select(SourceObject.queue, func.count(), func.extract("epoch", now - func.min(SourceObject.seen_at)))
        .where(SourceObject.dispatched_at.is_(None))
        .group_by(SourceObject.queue)
    ).all()
    counts: dict[Queue, int] = dict.fromkeys((Queue.UPLOADS, Queue.BACKFILL), 0)
    counts.update((queue, number) for queue, number, _ in waiting)
    return Measures(
        waiting=counts,
        oldest_waiting_s=max((float(age) for _, _, age in waiting), default=0.0),
        longest_silence_s=_longest_silence_s(session),
        counters={row.name: row.value for row in session.scalars(select(Counter))},
        stages=stage_statistic.ended(session),
    )


def count_videos(session: Session) -> dict[VideoStatus, int]:
    """Count the videos by status; it walks an index entry of every video."""
    found: dict[VideoStatus, int] = dict.fromkeys(VideoStatus, 0)
    rows = session.execute(select(Video.status, func.count()).group_by(Video.status))
    found.update((status, number) for status, number in rows)
    return found


def _longest_silence_s(session: Session) -> float:
    """Give it for videos that an attempt has begun at: one that waits for its first run is not in work."""
    moved = (
        select(func.max(func.greatest(StageRun.started_at, StageRun.ended_at)))
        .where(StageRun.video_id == Video.id)
        .scalar_subquery()
    )
    silence = func.clock_timestamp() - func.min(func.greatest(Video.updated_at, moved))
    query = select(func.extract("epoch", silence)).where(Video.status.in_(LIVE_STATUSES), Video.attempt > 0)
    return max(0.0, float(session.scalar(query) or 0))
