"""Scenes nearest to a vector, inside one embedding space: an exact scan where few scenes can answer, else the index."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import ge, lt
from typing import Any, Final
from uuid import UUID

from pgvector.sqlalchemy import HALFVEC
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Select, cast, func, literal_column, select, text
from sqlalchemy.orm import Session

from models.encoder import Encoder, SceneEmbedding
from models.scene import Scene
from models.space_index import index_state
from models.states import IndexState
from models.video import Video

#: Candidates up to this number are compared one by one: exact, and faster than walking the index past everybody
#: else's scenes (`python -m benchmarks.search`; the table is in docs/search.md).
EXACT_UP_TO: Final = 20_000
#: Candidates the index looks at before it gives the first rows.
EF_SEARCH: Final = 400
#: Rows taken from the index beyond those wanted: they come nearly in order, and are sorted afterwards.
SPARE: Final = 10
#: Scenes the index may walk past before it gives up; the exact scan then answers.
MAX_WALK: Final = 40_000


class SceneHit(BaseModel):
    """One scene that answers a search; `score` is the cosine similarity."""

    model_config = ConfigDict(frozen=True)

    scene_id: UUID
    video_id: UUID
    #: Its place in the video, from 0 on.
    index: int
    start_s: float
    end_s: float
    score: float
    title: str
    poster_key: str | None


class SceneFilters(BaseModel):
    """Which scenes may answer; every range is half-open [from, to), None leaves it open."""

    model_config = ConfigDict(frozen=True)

    video_ids: tuple[UUID, ...] | None = None
    #: When the video was uploaded.
    created_from: dt.datetime | None = None
    created_to: dt.datetime | None = None
    #: How long the video is, seconds.
    duration_from_s: float | None = None
    duration_to_s: float | None = None
    #: Where in the video: scenes that overlap this part of it, seconds.
    time_from_s: float | None = None
    time_to_s: float | None = None

    def of_video(self) -> list[ColumnElement[bool]]:
        """Give the conditions on the video."""
        bounds = (
            (Video.created_at, ge, self.created_from),
            (Video.created_at, lt, self.created_to),
            (Video.duration_s, ge, self.duration_from_s),
            (Video.duration_s, lt, self.duration_to_s),
        )
        return [compare(column, bound) for column, compare, bound in bounds if bound is not None]

    def of_scene(self) -> list[ColumnElement[bool]]:
        """Give the conditions on the scene."""
        conditions: list[ColumnElement[bool]] = []
        if self.video_ids is not None:
            conditions.append(Scene.video_id.in_(self.video_ids))
        if self.time_from_s is not None:
            conditions.append(Scene.end_s > self.time_from_s)
        if self.time_to_s is not None:
            conditions.append(Scene.start_s < self.time_to_s)
        return conditions


EVERY_SCENE: Final = SceneFilters()


def nearest(
    session: Session,
    encoder: Encoder,
    vector: Sequence[float],
    *,
    owner_id: str,
    filters: SceneFilters = EVERY_SCENE,
    limit: int,
    offset: int = 0,
) -> list[SceneHit]:
    """Give the owner's scenes nearest to a unit vector, best first; all that exist when fewer than `limit` do.

    Args:
        vector: made by `encoder`; a vector of another one would find nothing sensible, whatever its dimension.

    Raises:
        ValueError: the vector has another dimension than the space.
    """
    if len(vector) != encoder.dim:
        raise ValueError(f"a vector of {len(vector)} numbers, and the space of {encoder.name} has {encoder.dim}")
    wanted = limit + offset
    candidates = _candidates(encoder, vector, owner_id, filters)
    few = _count(session, candidates, EXACT_UP_TO + 1) <= EXACT_UP_TO
    if not few and index_state(session, encoder) is IndexState.READY:
        with _walking_the_index(session):
            found = _hits(session, _by_index(candidates, wanted), limit, offset)
        if len(found) == limit:
            return found
    return _hits(session, _by_scan(candidates), limit, offset)


def vector_of(session: Session, encoder: Encoder, scene_id: UUID, *, owner_id: str) -> list[float] | None:
    """Give the vector a scene has in a space; None when it has none, or is somebody else's."""
    row = session.scalar(
        select(SceneEmbedding.vector).where(
            SceneEmbedding.scene_id == scene_id,
            SceneEmbedding.encoder_id == encoder.id,
            SceneEmbedding.owner_id == owner_id,
        )
    )
    return None if row is None else list(row)


def _candidates(encoder: Encoder, vector: Sequence[float], owner_id: str, filters: SceneFilters) -> Select[Any]:
    """Select ids and distances of everything that may answer; a distance is the negative inner product."""
    space = HALFVEC(encoder.dim)
    # Written into the statement: the partial index is used only when the planner sees its number.
    number: ColumnElement[int] = literal_column(str(int(encoder.id)))
    query = select(
        SceneEmbedding.scene_id,
        cast(SceneEmbedding.vector, space).max_inner_product(cast(list(vector), space)).label("apart"),
    ).where(SceneEmbedding.encoder_id == number, SceneEmbedding.owner_id == owner_id)
    of_scene, of_video = filters.of_scene(), filters.of_video()
    if of_scene or of_video:
        query = query.join(Scene, Scene.id == SceneEmbedding.scene_id).where(*of_scene)
    if of_video:
        query = query.join(Video, Video.id == Scene.video_id).where(*of_video)
    return query


def _count(session: Session, candidates: Select[Any], most: int) -> int:
    """Count candidates, at most to `most`: how many more there are does not matter."""
    some = candidates.with_only_columns(literal_column("1"), maintain_column_froms=True).limit(most).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _by_scan(candidates: Select[Any]) -> Select[Any]:
    """Compare all candidates; materialised, so that the planner never turns it into a walk of the index."""
    every = candidates.cte("every").prefix_with("MATERIALIZED")
    return select(every)


def _by_index(candidates: Select[Any], wanted: int) -> Select[Any]:
    """Walk the index until enough candidates have come."""
    near = candidates.order_by("apart").limit(wanted + SPARE).cte("near").prefix_with("MATERIALIZED")
    return select(near)


@contextmanager
def _walking_the_index(session: Session) -> Iterator[None]:
    """Let the queries inside walk the vector index on and on until their conditions are met."""
    inside = {
        "hnsw.ef_search": str(EF_SEARCH),
        "hnsw.iterative_scan": "relaxed_order",
        "hnsw.max_scan_tuples": str(MAX_WALK),
        # A plan that sorts by distance reads every vector; only the index gives them in order.
        "enable_sort": "off",
    }
    _set_for_transaction(session, inside)
    yield
    _set_for_transaction(session, {"enable_sort": "on"})


def _set_for_transaction(session: Session, values: dict[str, str]) -> None:
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in values.items())
    session.execute(text(f"SELECT {calls}"))


def _hits(session: Session, candidates: Select[Any], limit: int, offset: int) -> list[SceneHit]:
    best = candidates.order_by("apart", "scene_id").limit(limit).offset(offset).subquery("best")
    rows = session.execute(
        select(Scene, Video.title, best.c.apart)
        .join(best, best.c.scene_id == Scene.id)
        .join(Video, Video.id == Scene.video_id)
        .order_by(best.c.apart, Scene.id)
    )
    return [
        SceneHit(
            scene_id=scene.id,
            video_id=scene.video_id,
            index=scene.index,
            start_s=float(scene.start_s),
            end_s=float(scene.end_s),
            score=round(-float(apart), 4),
            title=title,
            poster_key=scene.poster_key,
        )
        for scene, title, apart in rows
    ]
