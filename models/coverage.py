"""Coverage: of every stage and space, how many videos are up to date, and what the others lack."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import replace
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.orm import Session

from core.stages import Stage
from models.encoder import Encoder
from models.lacking import (
    Candidate,
    Lack,
    Order,
    Wanted,
    candidates,
    counts,
    has_row,
    is_whole,
    lack_of,
    published_between,
)
from models.recipes import Column
from models.states import LIVE_STATUSES, VideoStatus
from models.video import Video


class Coverage(BaseModel):
    """How many videos are where in one column; the five numbers add up to `videos`."""

    model_config = ConfigDict(frozen=True)

    stage: Stage
    encoder_id: int
    #: Encoder of the space, as commands take it; None for the other stages.
    space: str | None
    videos: int
    #: Done by today's recipe; a verdict or a publication by any, for it stands.
    produced: int
    #: Done by another recipe: published and served, and a backfill would do it again.
    stale: int
    #: Rejected: there is nothing to do it with, by design.
    empty: int
    #: The newest try at this stage failed.
    failed: int
    #: Not done: on its way, failed at another stage, or indexed before the space was there.
    missing: int


class Lacking(BaseModel):
    """A video that is not up to date in a column."""

    model_config = ConfigDict(frozen=True)

    video_id: UUID
    video_at: dt.datetime
    title: str
    status: VideoStatus
    lack: Lack


def coverage(session: Session, today: Mapping[Column, str], owner_id: str) -> list[Coverage]:
    """Count every column, in the order given; reads counts, never the rows.

    Args:
        today: the recipe that each column is done by now.
    """
    by_status = select(Video.status, func.count()).where(Video.owner_id == owner_id).group_by(Video.status)
    statuses = {status: number for status, number in session.execute(by_status)}  # noqa: C416 - rows to a dict
    videos = sum(statuses.values()) - statuses.get(VideoStatus.UPLOADING, 0)
    empty = statuses.get(VideoStatus.REJECTED, 0)
    failures = (
        select(Video.error_stage, func.count())
        .where(Video.owner_id == owner_id, Video.status == VideoStatus.FAILED)
        .group_by(Video.error_stage)
    )
    failed_at = {stage: number for stage, number in session.execute(failures)}  # noqa: C416 - rows to a dict
    counted = counts(session, owner_id)
    names = {row.id: f"{row.name}@{row.revision}" for row in session.scalars(select(Encoder))}
    found = []
    for column, name in today.items():
        number: dict[Lack | None, int] = {Lack.FAILED: failed_at.get(column.stage, 0)}
        for row in counted:
            if (row.stage, row.encoder_id) == (column.stage, column.encoder_id):
                lack = Lack.FAILED if row.failed else lack_of(column, row.name, name)
                number[lack] = number.get(lack, 0) + row.videos
        produced, stale, failed = number.get(None, 0), number.get(Lack.STALE, 0), number[Lack.FAILED]
        found.append(
            Coverage(
                stage=column.stage,
                encoder_id=column.encoder_id,
                space=names.get(column.encoder_id),
                videos=videos,
                produced=produced,
                stale=stale,
                empty=empty,
                failed=failed,
                missing=max(0, videos - produced - stale - failed - empty),
            )
        )
    return found


def videos_lacking(session: Session, wanted: Wanted, after: Candidate | None, limit: int) -> list[Lacking]:
    """Give the videos that a column of the coverage counts as failed, stale or missing, the newest first.

    Args:
        after: the last one of the page before.
    """
    found: dict[UUID, tuple[dt.datetime, Lack]] = {}
    for lack in [wanted.lack] if wanted.lack else Lack:
        page = candidates(session, replace(wanted, lack=lack), order=Order.NEWEST, after=after, limit=limit)
        found |= {one.video_id: (one.video_at, lack) for one in page}
    for lack, which in _without_row(session, wanted):
        query = select(Video.id, Video.created_at).where(Video.owner_id == wanted.owner_id, which)
        if after is not None:
            query = query.where(tuple_(Video.created_at, Video.id) < (after.video_at, after.video_id))
        query = query.order_by(Video.created_at.desc(), Video.id.desc()).limit(limit)
        found |= {video_id: (at, lack) for video_id, at in session.execute(query)}
    newest = sorted(found, key=lambda one: (found[one][0], one), reverse=True)[:limit]
    rows = {row.id: row for row in session.scalars(select(Video).where(Video.id.in_(newest)))}
    return [
        Lacking(
            video_id=one, video_at=found[one][0], title=rows[one].title, status=rows[one].status, lack=found[one][1]
        )
        for one in newest
    ]


def _without_row(session: Session, wanted: Wanted) -> Iterator[tuple[Lack, ColumnElement[bool]]]:
    """Say which videos count though nothing of them is published, or not in this space."""
    failed_here = Video.error_stage == wanted.column.stage
    if wanted.lack in {None, Lack.FAILED}:
        yield Lack.FAILED, (Video.status == VideoStatus.FAILED) & failed_here
    if wanted.lack in {None, Lack.MISSING}:
        yield (
            Lack.MISSING,
            (Video.status == VideoStatus.FAILED) & Video.error_stage.is_distinct_from(wanted.column.stage),
        )
        for status in LIVE_STATUSES:
            yield Lack.MISSING, Video.status == status
        if not is_whole(session, wanted.column, wanted.owner_id):
            yield Lack.MISSING, published_between(wanted) & ~has_row(wanted.column)
