"""Which published videos lack today's recipe of a stage: counted without reading the rows, listed along an index."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Row, and_, func, literal, select, true, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.stages import REDONE, Stage
from models.recipes import NEVER, Column, recipe_id, take_turn
from models.states import VideoStatus
from models.video import Video
from models.video_stage import CoverageCount, Recipe, VideoStage

#: Rows added in one transaction when a space is new.
BATCH: Final = 10_000
#: What `video_stage` is listed by, within a recipe.
_PLACE: Final = (VideoStage.video_at, VideoStage.video_id)


class Lack(StrEnum):
    """What keeps a video from being up to date in a column."""

    #: The newest try at it failed.
    FAILED = "failed"
    #: It was done by another recipe.
    STALE = "stale"
    #: It was never done.
    MISSING = "missing"


class Order(StrEnum):
    """Which videos come first."""

    OLDEST = "oldest"
    NEWEST = "newest"


@dataclass(frozen=True)
class Wanted:
    """An owner's published videos that lack a recipe in a column."""

    column: Column
    #: Name of the recipe.
    recipe: str
    owner_id: str
    #: Only those that lack it in this way.
    lack: Lack | None = None
    #: Videos that came at this instant or later, and before that one.
    since: dt.datetime | None = None
    until: dt.datetime | None = None


class Candidate(BaseModel):
    """A video that lacks today's recipe in a column."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    video_id: UUID
    video_at: dt.datetime

    @classmethod
    def at(cls, video_at: dt.datetime, video_id: UUID) -> Self:
        """Give the place of a video in lists."""
        return cls(video_id=video_id, video_at=video_at)


def lack_of(column: Column, recipe: str, today: str) -> Lack | None:
    """Say what a video lacks that was done by a recipe and did not fail; None when it is up to date."""
    if recipe == NEVER:
        return Lack.MISSING
    return None if recipe == today or column.stage not in REDONE else Lack.STALE


def candidates(
    session: Session, wanted: Wanted, *, order: Order = Order.OLDEST, after: Candidate | None = None, limit: int
) -> list[Candidate]:
    """Give such videos, a page at a time; every page is a few index reads.

    A space that is new has no rows yet to look among: `add_missing` makes them.

    Args:
        after: the last one of the page before.
    """
    oldest = order is Order.OLDEST
    beyond: ColumnElement[bool] = true()
    if after is not None:
        place, last = tuple_(*_PLACE), tuple_(literal(after.video_at), literal(after.video_id))
        beyond = place > last if oldest else place < last
    found: list[Candidate] = []
    # One read in index order a recipe.
    for rows in _lacking(session, wanted):
        query = select(VideoStage.video_id, VideoStage.video_at).where(rows, beyond)
        query = query.order_by(*(key if oldest else key.desc() for key in _PLACE)).limit(limit)
        found += [Candidate.model_validate(row) for row in session.execute(query)]
    found.sort(key=lambda one: (one.video_at, one.video_id), reverse=not oldest)
    return found[:limit]


def count(session: Session, wanted: Wanted) -> int:
    """Count such videos; without dates no row is read, with dates the index of those between them."""
    if wanted.since or wanted.until:
        return _count_between(session, wanted)
    found = whole = 0
    for row in counts(session, wanted.owner_id, wanted.column):
        whole += row.videos
        lack = Lack.FAILED if row.failed else lack_of(wanted.column, row.name, wanted.recipe)
        found += row.videos if lack and wanted.lack in {None, lack} else 0
    rowless = _published(session, wanted.owner_id) - whole
    return found + (max(0, rowless) if wanted.lack in {None, Lack.MISSING} else 0)


def _count_between(session: Session, wanted: Wanted) -> int:
    def number(rows: ColumnElement[bool]) -> int:
        return session.scalar(select(func.count()).select_from(VideoStage).where(rows)) or 0

    found = sum(number(rows) for rows in _lacking(session, wanted))
    if wanted.lack in {None, Lack.MISSING} and not is_whole(session, wanted.column, wanted.owner_id):
        came = select(func.count()).select_from(Video).where(published_between(wanted))
        with_row = sum(number(_rows(way.id, wanted)) for way in _ways(session, wanted.column))
        found += max(0, (session.scalar(came) or 0) - with_row)
    return found


def published_between(wanted: Wanted) -> ColumnElement[bool]:
    """Say of `video` which ones an owner has published, of those that came between two dates."""
    return and_(
        Video.owner_id == wanted.owner_id,
        Video.status == VideoStatus.INDEXED,
        *_between(Video.created_at, wanted),
    )


def has_row(column: Column) -> ColumnElement[bool]:
    """Say of `video` whether it has a row in a column."""
    here = select(VideoStage.video_id).where(
        VideoStage.video_id == Video.id, VideoStage.stage == column.stage, VideoStage.encoder_id == column.encoder_id
    )
    return here.exists()


def add_missing(session: Session, column: Column, after: UUID | None) -> UUID | None:
    """Add "never done" rows for published videos that have none in a column, a batch of videos at a time.

    Args:
        after: the id that the call before gave; None begins.

    Returns:
        Where the next call goes on; None when every video was looked at.
    """
    looked_at = session.scalars(
        select(Video.id).where(Video.id > after if after else true()).order_by(Video.id).limit(BATCH)
    ).all()
    if not looked_at:
        return None
    take_turn(session)
    never = recipe_id(session, column, NEVER)
    session.execute(
        insert(VideoStage)
        .from_select(
            ["video_id", "stage", "encoder_id", "recipe_id", "owner_id", "video_at"],
            select(
                Video.id,
                literal(column.stage, VideoStage.stage.type),
                literal(column.encoder_id),
                literal(never),
                Video.owner_id,
                Video.created_at,
            ).where(
                Video.id >= looked_at[0],
                Video.id <= looked_at[-1],
                Video.status == VideoStatus.INDEXED,
                ~has_row(column),
            ),
        )
        .on_conflict_do_nothing()
    )
    return looked_at[-1]


def is_whole(session: Session, column: Column, owner_id: str) -> bool:
    """Say whether every published video has a row in a column; reads counts, never the rows."""
    return bool(sum(row.videos for row in counts(session, owner_id, column)) >= _published(session, owner_id))


def counts(session: Session, owner_id: str, column: Column | None = None) -> Sequence[Row[Any]]:
    """Give (stage, encoder_id, name, failed, videos) of each recipe and outcome: a few dozen rows at most."""
    query = (
        select(Recipe.stage, Recipe.encoder_id, Recipe.name, CoverageCount.failed, CoverageCount.videos)
        .join(Recipe, Recipe.id == CoverageCount.recipe_id)
        .where(CoverageCount.owner_id == owner_id)
    )
    if column is not None:
        query = query.where(Recipe.stage == column.stage, Recipe.encoder_id == column.encoder_id)
    return session.execute(query).all()


def _published(session: Session, owner_id: str) -> int:
    return sum(row.videos for row in counts(session, owner_id, Column(Stage.PUBLISH)))


def _ways(session: Session, column: Column) -> Sequence[Row[Any]]:
    query = select(Recipe.id, Recipe.name)
    return session.execute(query.where(Recipe.stage == column.stage, Recipe.encoder_id == column.encoder_id)).all()


def _lacking(session: Session, wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    """Say of each recipe which of its rows lack today's, in the way that is wanted."""
    for way in _ways(session, wanted.column):
        rows = _rows(way.id, wanted)
        lack = lack_of(wanted.column, way.name, wanted.recipe)
        if wanted.lack is None and lack is not None:
            yield rows
        elif wanted.lack in {None, Lack.FAILED}:
            yield and_(rows, VideoStage.failed)
        elif wanted.lack is lack:
            yield and_(rows, ~VideoStage.failed)


def _rows(recipe: int, wanted: Wanted) -> ColumnElement[bool]:
    return and_(
        VideoStage.recipe_id == recipe,
        VideoStage.owner_id == wanted.owner_id,
        *_between(VideoStage.video_at, wanted),
    )


def _between(instant: InstrumentedAttribute[dt.datetime], wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [instant >= wanted.since] if wanted.since else []
    return found + ([instant < wanted.until] if wanted.until else [])
