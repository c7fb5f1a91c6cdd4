"""Embedding spaces: which there are, how full each is, which one answers searches."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Select, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.errors import NotFound, SpaceInUse
from core.stages import Stage
from core.values import EncoderSpec
from models import recipes
from models.encoder import Encoder, SceneEmbedding
from models.scene import Scene
from models.space_index import index_name, index_state
from models.states import IndexState, VideoStatus
from models.video import Video
from models.video_stage import CoverageCount, Recipe


class SpaceCoverage(BaseModel):
    """How far a space is filled, by maintained counts: quick however many scenes there are."""

    model_config = ConfigDict(frozen=True)

    id: int
    name: str
    revision: str
    dim: int
    is_active: bool
    #: Published videos that it was filled for, of how many.
    filled: int
    videos: int
    index: IndexState
    #: Vectors and their index; every space has its share of the one table.
    size_bytes: int


class Held(BaseModel):
    """What a space holds, counted scene by scene: minutes where there are many millions."""

    model_config = ConfigDict(frozen=True)

    #: Scenes of indexed videos that have a vector in it, of how many.
    embedded: int
    scenes: int

    @property
    def is_full(self) -> bool:
        """Say whether every scene can be found in it."""
        return self.embedded == self.scenes


def register(session: Session, spec: EncoderSpec, source: str | None = None) -> Encoder:
    """Give the row of a space, made when it is new; the first one of all answers searches.

    Args:
        source: what its encoder is loaded by, when it is known.
    """
    if (row := find_space(session, spec)) is None:
        session.execute(insert(Encoder).values(**spec.model_dump()).on_conflict_do_nothing())
        row = session.scalars(_of(spec)).one()
        if session.scalar(select(func.count()).select_from(Encoder).where(Encoder.is_active)) == 0:
            row.is_active = True
    if source is not None and row.source != source:
        row.source = source
    session.flush()
    return row


def find_space(session: Session, spec: EncoderSpec) -> Encoder | None:
    """Give the space of an encoder; None when it was dropped or never made. It stays until this transaction ends."""
    found: Encoder | None = session.scalar(_of(spec).with_for_update(key_share=True, read=True))
    return found


def _of(spec: EncoderSpec) -> Select[Any]:
    return select(Encoder).filter_by(**spec.model_dump())


def every_space(session: Session) -> Sequence[Encoder]:
    """Give all spaces, the oldest first; each is kept full until it is dropped."""
    return session.scalars(select(Encoder).order_by(Encoder.id)).all()


def space_named(session: Session, name: str) -> Encoder:
    """Find a space by its number, its encoder's name, or name and the first letters of the revision (`name@abc`).

    Raises:
        NotFound: none or several are called so (permanent).
    """
    wanted, _, revision = name.partition("@")
    found = [
        space
        for space in every_space(session)
        if str(space.id) == name or (space.name == wanted and space.revision.startswith(revision))
    ]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{space.id} ({space.name}@{space.revision})" for space in every_space(session))
    raise NotFound(
        f"{'Several encoders are' if found else 'No encoder is'} called {name}; there are: {known or 'none'}."
    )


def coverage(session: Session) -> list[SpaceCoverage]:
    """Say of each space how many of the published videos it was filled for; reads counts, never the rows."""
    videos, filled = _published(session), _filled(session)
    known = every_space(session)
    table_bytes = session.scalar(select(func.pg_table_size(SceneEmbedding.__tablename__))) or 0
    weights = {space.id: filled.get(space.id, 0) * _vector_bytes(space) for space in known}
    total = sum(weights.values()) or 1
    return [
        SpaceCoverage(
            id=space.id,
            name=space.name,
            revision=space.revision,
            dim=space.dim,
            is_active=space.is_active,
            filled=filled.get(space.id, 0),
            videos=videos,
            index=index_state(session, space),
            size_bytes=table_bytes * weights[space.id] // total + _index_bytes(session, space),
        )
        for space in known
    ]


def _published(session: Session) -> int:
    query = select(func.sum(CoverageCount.videos)).join(Recipe, Recipe.id == CoverageCount.recipe_id)
    return int(session.scalar(query.where(Recipe.stage == Stage.PUBLISH)) or 0)


def _filled(session: Session) -> dict[int, int]:
    counts = session.execute(
        select(Recipe.encoder_id, func.sum(CoverageCount.videos))
        .join(Recipe, Recipe.id == CoverageCount.recipe_id)
        .where(Recipe.stage == Stage.EMBED, Recipe.name != recipes.NEVER)
        .group_by(Recipe.encoder_id)
    )
    return {encoder_id: int(videos) for encoder_id, videos in counts}


def held(session: Session, space: Encoder) -> Held:
    """Count the scenes that a space holds, and all there are."""
    indexed = select(Video.id).where(Video.status == VideoStatus.INDEXED)
    scenes = select(func.count()).select_from(Scene).where(Scene.video_id.in_(indexed))
    mine = scenes.join(SceneEmbedding, SceneEmbedding.scene_id == Scene.id).where(SceneEmbedding.encoder_id == space.id)
    return Held(embedded=session.scalar(mine) or 0, scenes=session.scalar(scenes) or 0)


def _vector_bytes(space: Encoder) -> int:
    return 8 + 2 * space.dim  # a halfvec: its head, and two bytes a number


def _index_bytes(session: Session, space: Encoder) -> int:
    query = text("SELECT coalesce(pg_relation_size(to_regclass(:name)), 0)")
    return int(session.scalar(query, {"name": index_name(space)}) or 0)


def activate(session: Session, space: Encoder) -> None:
    """Let a space answer searches from this transaction's commit on; the one before stays as it is.

    Raises:
        NotFound: it was dropped meanwhile (permanent).
    """
    there = session.scalars(select(Encoder.id).order_by(Encoder.id).with_for_update()).all()
    if space.id not in there:
        raise NotFound(f"{space.name} was dropped meanwhile; `dailies encoders` lists what is there.")
    # One statement after the other: the unique index allows one active space at any moment.
    session.execute(update(Encoder).where(Encoder.is_active, Encoder.id != space.id).values(is_active=False))
    session.execute(update(Encoder).where(Encoder.id == space.id).values(is_active=True))


def remove(session: Session, space: Encoder) -> int:
    """Remove a space with its vectors; give their number.

    Raises:
        SpaceInUse: it answers searches (permanent).
    """
    held = session.scalar(select(Encoder).where(Encoder.id == space.id).with_for_update())
    if held is None:
        return 0
    if held.is_active:
        raise SpaceInUse(f"{space.name} answers searches: activate another encoder first.")
    gone = session.execute(delete(SceneEmbedding).where(SceneEmbedding.encoder_id == space.id))
    # After the vectors, which may take minutes: every video that is published reads the recipes.
    recipes.forget_space(session, space.id)
    session.delete(held)
    return gone.rowcount  # type: ignore[attr-defined,no-any-return]


def some_vectors(session: Session, space: Encoder, most: int) -> list[list[float]]:
    """Give vectors of a space, drawn by chance."""
    # Only ids are put in order: a million of them take a second, and their vectors would take gigabytes.
    drawn = select(SceneEmbedding.scene_id).where(SceneEmbedding.encoder_id == space.id)
    chosen = drawn.order_by(func.random()).limit(most).subquery()
    rows = session.scalars(
        select(SceneEmbedding.vector)
        .join(chosen, chosen.c.scene_id == SceneEmbedding.scene_id)
        .where(SceneEmbedding.encoder_id == space.id)
    )
    return [list(row) for row in rows]
