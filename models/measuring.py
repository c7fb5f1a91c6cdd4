"""What metrics ask of the records; every query reads a few rows or an index, however many videos there are."""

import datetime as dt

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import stage_statistic
from models.counter import Counter
from models.source_object import SourceObject
from models.states import Queue, VideoStatus
from models.video import Video


class Measures(BaseModel):
    """How much there is of everything."""

    model_config = ConfigDict(frozen=True)

    videos: dict[VideoStatus, int]
    #: Uploads that no run was asked for yet, by queue, and the age of the oldest one in seconds.
    waiting: dict[Queue, int]
    oldest_waiting_s: float
    #: Totals since the installation, such as `recovered_unannounced`.
    counters: dict[str, int]
    stages: list[stage_statistic.Ended]


def measure(session: Session) -> Measures:
    """Read everything that metrics tell."""
    found = session.execute(select(Video.status, func.count()).group_by(Video.status))
    waiting = session.execute(
        select(SourceObject.queue, func.count(), func.min(SourceObject.seen_at))
        .where(SourceObject.dispatched_at.is_(None))
        .group_by(SourceObject.queue)
    ).all()
    oldest = min((seen for _, _, seen in waiting), default=None)
    now = session.scalar(select(func.now())) or dt.datetime.now(dt.UTC)
    videos: dict[VideoStatus, int] = dict.fromkeys(VideoStatus, 0)
    videos.update((status, number) for status, number in found)
    counts: dict[Queue, int] = dict.fromkeys((Queue.UPLOADS, Queue.BACKFILL), 0)
    counts.update((queue, number) for queue, number, _ in waiting)
    return Measures(
        videos=videos,
        waiting=counts,
        oldest_waiting_s=(now - oldest).total_seconds() if oldest else 0.0,
        counters={row.name: row.value for row in session.scalars(select(Counter))},
        stages=stage_statistic.ended(session),
    )
