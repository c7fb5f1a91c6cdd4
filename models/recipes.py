"""Writes and reads of `video_stage`: what each video was done by, how much of everything is up to date, what is not."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, and_, delete, func, literal, or_, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.fingerprint import Recipes
from core.stages import Stage
from core.values import EncoderSpec
from models.encoder import Encoder
from models.states import VideoStatus
from models.video import Video
from models.video_stage import NO_ENCODER, CoverageCount, Recipe, VideoStage

#: Name of the recipe of what was never done.
NEVER: Final = ""
#: Rows added in one transaction when a space is new.
BATCH: Final = 10_000


@dataclass(frozen=True)
class Column:
    """A column of the coverage matrix: a stage, and for embedding one a space."""

    stage: Stage
    encoder_id: int = NO_ENCODER


class Order(StrEnum):
    """Which videos come first."""

    OLDEST = "oldest"
    NEWEST = "newest"


class Coverage(BaseModel):
    """How many videos are where in one column; the five numbers add up to `videos`."""

    model_config = ConfigDict(frozen=True)

    stage: Stage
    encoder_id: int
    videos: int
    #: Done by today's recipe.
    produced: int
    #: Done by another recipe: published and served, and a backfill would do it again.
    stale: int
    #: Rejected: there is nothing to do it with, by design.
    empty: int
    #: The newest try at this stage failed.
    failed: int
    #: Not done: on its way, failed at another stage, or indexed before the space was there.
    missing: int


class Known(BaseModel):
    """What is published of one column of one video."""

    model_config = ConfigDict(frozen=True)

    #: Name of the recipe it was done by; NEVER when it was not.
    recipe: str
    failed: bool


class Candidate(BaseModel):
    """A video that lacks today's recipe in a column."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    video_id: UUID
    video_at: dt.datetime


def columns(session: Session, today: Recipes, embedded: Sequence[EncoderSpec] | None = None) -> dict[Column, str]:
    """Give the columns of the matrix, in the order of the stages and of the spaces, each with its recipe of today.

    Args:
        embedded: the only spaces that vectors were made for; the others' recipe is then "never". None: all of them.
    """
    found = {Column(stage): today.of(stage) for stage in Stage if stage is not Stage.EMBED}
    for row in session.scalars(select(Encoder).order_by(Encoder.id)):
        made = embedded is None or row.spec in embedded
        found[Column(Stage.EMBED, row.id)] = today.of_space(row.spec) if made else NEVER
    order = tuple(Stage)
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0].stage), item[0].encoder_id)))


def recipe_id(session: Session, column: Column, name: str) -> int:
    """Give the row of a recipe, made when it is new."""
    known = select(Recipe.id).filter_by(stage=column.stage, encoder_id=column.encoder_id, name=name)
    if (found := session.scalar(known)) is None:
        values = {"stage": column.stage, "encoder_id": column.encoder_id, "name": name}
        session.execute(insert(Recipe).values(**values).on_conflict_do_nothing())
        found = session.scalars(known).one()
    return found


def record(session: Session, video_id: UUID, done: Mapping[Column, str]) -> None:
    """Note by which recipe each of these columns of a video was done, in the transaction that publishes it.

    It makes other publications wait until this transaction ends: call it last.
    """
    video = session.get_one(Video, video_id)
    rows = [
        {
            "video_id": video_id,
            "stage": column.stage,
            "encoder_id": column.encoder_id,
            "recipe_id": recipe_id(session, column, name),
            "owner_id": video.owner_id,
            "video_at": video.created_at,
        }
        for column, name in done.items()
    ]
    if not rows:
        return
    statement = insert(VideoStage).values(rows)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[VideoStage.video_id, VideoStage.stage, VideoStage.encoder_id],
            set_={"recipe_id": statement.excluded.recipe_id, "failed": False},
        )
    )


def note_failure(session: Session, video_id: UUID, stage: Stage, encoder_id: int | None = None) -> None:
    """Note that doing a published stage again failed; what was published stays.

    Args:
        encoder_id: whose space; None notes it for every one.
    """
    query = update(VideoStage).where(VideoStage.video_id == video_id, VideoStage.stage == stage)
    if encoder_id is not None:
        query = query.where(VideoStage.encoder_id == encoder_id)
    session.execute(query.where(~VideoStage.failed).values(failed=True))


def forget_space(session: Session, encoder_id: int) -> None:
    """Remove the column of a space that is dropped."""
    session.execute(delete(VideoStage).where(VideoStage.stage == Stage.EMBED, VideoStage.encoder_id == encoder_id))
    gone = select(Recipe.id).where(Recipe.stage == Stage.EMBED, Recipe.encoder_id == encoder_id)
    session.execute(delete(CoverageCount).where(CoverageCount.recipe_id.in_(gone)))
    session.execute(delete(Recipe).where(Recipe.stage == Stage.EMBED, Recipe.encoder_id == encoder_id))


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
    never = recipe_id(session, column, NEVER)
    here = and_(
        VideoStage.video_id == Video.id, VideoStage.stage == column.stage, VideoStage.encoder_id == column.encoder_id
    )
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
                ~select(VideoStage.video_id).where(here).exists(),
            ),
        )
        .on_conflict_do_nothing()
    )
    return looked_at[-1]


def coverage(session: Session, today: Mapping[Column, str], owner_id: str) -> list[Coverage]:
    """Count every column, in the order given; reads counts, never the rows.

    Args:
        today: the recipe that each column is done by now.
    """
    counts = select(Video.status, func.count()).where(Video.owner_id == owner_id).group_by(Video.status)
    statuses = {status: number for status, number in session.execute(counts)}  # noqa: C416 - rows to a dict
    videos = sum(statuses.values()) - statuses.get(VideoStatus.UPLOADING, 0)
    empty = statuses.get(VideoStatus.REJECTED, 0)
    failures = (
        select(Video.error_stage, func.count())
        .where(Video.owner_id == owner_id, Video.status == VideoStatus.FAILED)
        .group_by(Video.error_stage)
    )
    failed_at = {stage: number for stage, number in session.execute(failures)}  # noqa: C416 - rows to a dict
    counted = session.execute(
        select(Recipe.stage, Recipe.encoder_id, Recipe.name, CoverageCount.failed, CoverageCount.videos)
        .join(Recipe, Recipe.id == CoverageCount.recipe_id)
        .where(CoverageCount.owner_id == owner_id)
    ).all()
    found = []
    for column, name in today.items():
        mine = [row for row in counted if (row.stage, row.encoder_id) == (column.stage, column.encoder_id)]
        produced = sum(row.videos for row in mine if row.name == name and not row.failed)
        stale = sum(row.videos for row in mine if row.name not in {name, NEVER} and not row.failed)
        failed = sum(row.videos for row in mine if row.failed) + failed_at.get(column.stage, 0)
        found.append(
            Coverage(
                stage=column.stage,
                encoder_id=column.encoder_id,
                videos=videos,
                produced=produced,
                stale=stale,
                empty=empty,
                failed=failed,
                missing=max(0, videos - produced - stale - failed - empty),
            )
        )
    return found


def behind(session: Session, column: Column, name: str, owner_id: str) -> int:
    """Count the published videos that lack a recipe in a column; reads counts, never the rows."""
    published = _counted(session, owner_id, Recipe.stage == Stage.PUBLISH)
    fresh = _counted(
        session,
        owner_id,
        and_(
            Recipe.stage == column.stage,
            Recipe.encoder_id == column.encoder_id,
            Recipe.name == name,
            ~CoverageCount.failed,
        ),
    )
    return max(0, published - fresh)


def known(session: Session, video_id: UUID) -> dict[Column, Known]:
    """Give the recipe that each column of a video was done by; nothing before it was published."""
    rows = session.execute(
        select(VideoStage.stage, VideoStage.encoder_id, Recipe.name, VideoStage.failed)
        .join(Recipe, Recipe.id == VideoStage.recipe_id)
        .where(VideoStage.video_id == video_id)
    )
    return {Column(row.stage, row.encoder_id): Known(recipe=row.name, failed=row.failed) for row in rows}


def is_whole(session: Session, column: Column, owner_id: str) -> bool:
    """Say whether every published video has a row in a column; reads counts, never the rows."""
    published = _counted(session, owner_id, Recipe.stage == Stage.PUBLISH)
    here = and_(Recipe.stage == column.stage, Recipe.encoder_id == column.encoder_id)
    return _counted(session, owner_id, here) >= published


def _counted(session: Session, owner_id: str, which: ColumnElement[bool]) -> int:
    query = (
        select(func.coalesce(func.sum(CoverageCount.videos), 0))
        .join(Recipe, Recipe.id == CoverageCount.recipe_id)
        .where(CoverageCount.owner_id == owner_id, which)
    )
    return int(session.scalar(query) or 0)


def candidates(
    session: Session,
    column: Column,
    name: str,
    owner_id: str,
    *,
    order: Order = Order.OLDEST,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    after: Candidate | None = None,
    limit: int,
) -> list[Candidate]:
    """Give published videos that lack a recipe in a column, a page at a time; every page is a few index reads.

    Args:
        since: videos that came at this instant or later.
        until: videos that came before this instant.
        after: the last one of the page before.
    """
    place = tuple_(VideoStage.video_at, VideoStage.video_id)
    oldest = order is Order.OLDEST
    where: list[ColumnElement[bool]] = [VideoStage.owner_id == owner_id]
    where += [VideoStage.video_at >= since] if since else []
    where += [VideoStage.video_at < until] if until else []
    if after is not None:
        last = tuple_(literal(after.video_at), literal(after.video_id))
        where.append(place > last if oldest else place < last)
    sort = (
        (VideoStage.video_at, VideoStage.video_id)
        if oldest
        else (VideoStage.video_at.desc(), VideoStage.video_id.desc())
    )
    ways = session.execute(
        select(Recipe.id, Recipe.name).where(Recipe.stage == column.stage, Recipe.encoder_id == column.encoder_id)
    ).all()
    found: list[Candidate] = []
    for way in ways:
        # One read in index order a recipe: all of one that is not today's, of today's those that failed.
        query = select(VideoStage.video_id, VideoStage.video_at).where(VideoStage.recipe_id == way.id, *where)
        if way.name == name:
            query = query.where(VideoStage.failed)
        found += [Candidate.model_validate(row) for row in session.execute(query.order_by(*sort).limit(limit))]
    found.sort(key=lambda one: (one.video_at, one.video_id), reverse=not oldest)
    return found[:limit]


def up_to_date(session: Session, column: Column, name: str, video_ids: Sequence[UUID]) -> set[UUID]:
    """Give those of these videos that have a recipe in a column, and those that are gone or no longer published."""
    lacking = session.scalars(
        select(VideoStage.video_id)
        .join(Recipe, Recipe.id == VideoStage.recipe_id)
        .where(
            VideoStage.video_id.in_(video_ids),
            VideoStage.stage == column.stage,
            VideoStage.encoder_id == column.encoder_id,
            or_(Recipe.name != name, VideoStage.failed),
        )
    )
    return set(video_ids) - set(lacking)
