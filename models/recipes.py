"""Recipes of published videos: what each of them was done by, written as it is published and read again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.fingerprint import Recipes
from core.stages import Stage
from core.values import EncoderSpec
from models.encoder import Encoder, SceneEmbedding
from models.scene import Scene
from models.video import Video
from models.video_stage import NO_ENCODER, CoverageCount, Recipe, VideoStage

#: Name of the recipe of what was never done.
NEVER: Final = ""
#: The lock of the trigger that counts (count_video_stages).
_CHANGES: Final = 7_203_514


@dataclass(frozen=True)
class Column:
    """A column of the coverage matrix: a stage, and for embedding one a space."""

    stage: Stage
    encoder_id: int = NO_ENCODER


class Known(BaseModel):
    """What is published of one column of one video."""

    model_config = ConfigDict(frozen=True)

    #: Name of the recipe it was done by; NEVER when it was not.
    recipe: str
    failed: bool


def columns(session: Session, today: Recipes) -> dict[Column, str]:
    """Give the columns of the matrix, in the order of the stages and of the spaces, each with its recipe of today."""
    found = {Column(stage): today.of(stage) for stage in Stage if stage is not Stage.EMBED}
    for row in session.scalars(select(Encoder).order_by(Encoder.id)):
        found[Column(Stage.EMBED, row.id)] = today.of_space(row.spec)
    order = tuple(Stage)
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0].stage), item[0].encoder_id)))


def published_by(
    session: Session, video_id: UUID, today: Recipes, embedded: Sequence[EncoderSpec]
) -> dict[Column, str]:
    """Give what a publication is to note of each column: everything is done by today's recipes, or never.

    A space that was not embedded this time is left out while it still holds the video's scenes: what is noted of it holds.

    Args:
        embedded: the spaces that vectors were made for.
    """
    scenes = select(func.count()).select_from(Scene).where(Scene.video_id == video_id).scalar_subquery()
    filled = session.scalars(
        select(SceneEmbedding.encoder_id)
        .join(Scene, Scene.id == SceneEmbedding.scene_id)
        .where(Scene.video_id == video_id)
        .group_by(SceneEmbedding.encoder_id)
        .having(func.count() == scenes)
    ).all()
    made = {NO_ENCODER, *(row.id for row in session.scalars(select(Encoder)) if row.spec in embedded)}
    return {
        column: name if column.encoder_id in made else NEVER
        for column, name in columns(session, today).items()
        if column.encoder_id in made or column.encoder_id not in filled
    }


def recipe_id(session: Session, column: Column, name: str) -> int:
    """Give the row of a recipe, made when it is new."""
    known = select(Recipe.id).filter_by(stage=column.stage, encoder_id=column.encoder_id, name=name)
    if (found := session.scalar(known)) is None:
        values = {"stage": column.stage, "encoder_id": column.encoder_id, "name": name}
        session.execute(insert(Recipe).values(**values).on_conflict_do_nothing())
        found = session.scalars(known).one()
    return found


def take_turn(session: Session) -> None:
    """Hold the lock of the trigger that counts until this transaction ends.

    The trigger would wait for it, too, but with rows locked by then, for which its holder may be waiting.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _CHANGES})


def record(session: Session, video_id: UUID, done: Mapping[Column, str]) -> None:
    """Note by which recipe each of these columns of a video was done, in the transaction that publishes it.

    A column whose space was dropped meanwhile is left out. It makes other publications wait until this transaction
    ends: call it last.
    """
    take_turn(session)
    video = session.get_one(Video, video_id)
    there = {NO_ENCODER, *session.scalars(select(Encoder.id))}
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
        if column.encoder_id in there
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
    take_turn(session)
    session.execute(delete(VideoStage).where(VideoStage.stage == Stage.EMBED, VideoStage.encoder_id == encoder_id))
    gone = select(Recipe.id).where(Recipe.stage == Stage.EMBED, Recipe.encoder_id == encoder_id)
    session.execute(delete(CoverageCount).where(CoverageCount.recipe_id.in_(gone)))
    session.execute(delete(Recipe).where(Recipe.stage == Stage.EMBED, Recipe.encoder_id == encoder_id))


def known(session: Session, video_id: UUID) -> dict[Column, Known]:
    """Give the recipe that each column of a video was done by; nothing before it was published."""
    rows = session.execute(
        select(VideoStage.stage, VideoStage.encoder_id, Recipe.name, VideoStage.failed)
        .join(Recipe, Recipe.id == VideoStage.recipe_id)
        .where(VideoStage.video_id == video_id)
    )
    return {Column(row.stage, row.encoder_id): Known(recipe=row.name, failed=row.failed) for row in rows}


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


def shares_to_redo(session: Session, today: Mapping[Column, str], video_ids: Sequence[UUID]) -> dict[Column, float]:
    """Give which share of these videos a run would do each column again for."""
    rows = session.execute(
        select(VideoStage.stage, VideoStage.encoder_id, Recipe.name, func.count().label("videos"))
        .join(Recipe, Recipe.id == VideoStage.recipe_id)
        .where(VideoStage.video_id.in_(video_ids), ~VideoStage.failed)
        .group_by(VideoStage.stage, VideoStage.encoder_id, Recipe.name)
    )
    fresh = {
        Column(row.stage, row.encoder_id): row.videos
        for row in rows
        if today.get(Column(row.stage, row.encoder_id)) == row.name
    }
    return {column: 1 - fresh.get(column, 0) / len(video_ids) for column in today}
