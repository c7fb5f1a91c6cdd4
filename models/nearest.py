"""Scenes nearest to a vector, inside one embedding space: an exact scan where that is cheap, else a walk of the index."""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from operator import ge, lt
from typing import Any, Final
from uuid import UUID

from pgvector.sqlalchemy import HALFVEC
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Float, Label, Select, SQLColumnExpression, Subquery, cast, literal_column, select
from sqlalchemy.orm import Session

from models.encoder import Encoder, SceneEmbedding
from models.scene import Scene
from models.video import Video
from models.walking import EF_SEARCH, Walk, walk_worth, walking

#: Rows taken beyond those wanted where the index goes on after its first look: they come nearly in order, and are
#: sorted afterwards.
SPARE: Final = 10
#: Candidates among the first that the index looks at, from which on it may walk further. With fewer they lie elsewhere
#: than what is asked for; the index would bring enough of them in the end, but not the nearest.
SURE: Final = 20


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
    #: When its video was announced.
    created_at: dt.datetime


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
            (Video.duration_s, ge, _seconds(self.duration_from_s)),
            (Video.duration_s, lt, _seconds(self.duration_to_s)),
        )
        return [compare(column, bound) for column, compare, bound in bounds if bound is not None]

    def of_scene(self) -> list[ColumnElement[bool]]:
        """Give the conditions on the scene."""
        conditions: list[ColumnElement[bool]] = []
        if self.video_ids is not None:
            conditions.append(Scene.video_id.in_(self.video_ids))
        if self.time_from_s is not None:
            conditions.append(Scene.end_s > _seconds(self.time_from_s))
        if self.time_to_s is not None:
            conditions.append(Scene.start_s < _seconds(self.time_to_s))
        return conditions


def _seconds(number: float | None) -> Decimal | None:
    """Write seconds as the columns have them: of what is compared as another type the planner knows no statistics."""
    return None if number is None else Decimal(str(number))


EVERY_SCENE: Final = SceneFilters()


def nearest(
    session: Session,
    encoder: Encoder,
    vector: Sequence[float],
    *,
    owner_id: str,
    filters: SceneFilters = EVERY_SCENE,
    limit: int,
    steps: int | None = None,
) -> list[SceneHit]:
    """Give the owner's scenes nearest to a unit vector, best first; all that exist when fewer than `limit` do.

    Args:
        vector: made by `encoder`; a vector of another one would find nothing sensible, whatever its dimension.
        steps: scenes the index may walk past before all are compared; 0 never walks, None weighs it.

    Raises:
        ValueError: the vector has another dimension than the space.
    """
    if len(vector) != encoder.dim:
        raise ValueError(f"a vector of {len(vector)} numbers, and the space of {encoder.name} has {encoder.dim}")
    candidates = _candidates(encoder, owner_id, filters)
    walk = Walk(EF_SEARCH, steps or 0)
    if steps is None:
        walk = walk_worth(session, encoder, candidates, limit, owner_id if filters == EVERY_SCENE else None)
    if walk.most:
        with walking(session, min(walk), look=walk.look):
            found = hits_of(session, _walked(candidates, encoder, vector, limit))
        if SURE <= len(found) < limit:
            with walking(session, walk.most, look=walk.look):
                more = hits_of(session, _walked(candidates, encoder, vector, limit + SPARE))
            further = {hit.scene_id: hit for hit in (*found, *more)}
            found = sorted(further.values(), key=lambda hit: -hit.score)
        if len(found) >= limit:
            return found[:limit]
    return hits_of(session, _scanned(candidates, encoder, vector, limit))


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


def _candidates(encoder: Encoder, owner_id: str, filters: SceneFilters) -> Select[Any]:
    """Select everything that may answer."""
    # Written into the statement: the partial index is used only when the planner sees its number.
    number: ColumnElement[int] = literal_column(str(int(encoder.id)))
    query = select(SceneEmbedding.scene_id).where(
        SceneEmbedding.encoder_id == number, SceneEmbedding.owner_id == owner_id
    )
    of_scene, of_video = filters.of_scene(), filters.of_video()
    if of_scene or of_video:
        query = query.join(Scene, Scene.id == SceneEmbedding.scene_id).where(*of_scene)
    if of_video:
        query = query.join(Video, Video.id == Scene.video_id).where(*of_video)
    return query


def _scanned(candidates: Select[Any], encoder: Encoder, vector: Sequence[float], wanted: int) -> Subquery:
    """Compare all candidates: the index is of another expression, so the planner never turns this into a walk."""
    apart = distance(encoder, SceneEmbedding.vector, vector)
    return candidates.add_columns(apart).order_by("apart", SceneEmbedding.scene_id).limit(wanted).subquery("best")


def _walked(candidates: Select[Any], encoder: Encoder, vector: Sequence[float], wanted: int) -> Subquery:
    """Walk the index until enough candidates have come."""
    apart = distance(encoder, cast(SceneEmbedding.vector, HALFVEC(encoder.dim)), vector)
    return candidates.add_columns(apart).order_by("apart").limit(wanted).subquery("best")


def distance(encoder: Encoder, vectors: SQLColumnExpression[Any], vector: Sequence[float]) -> Label[float]:
    """Say how far vectors are from a unit vector, as `apart`: the negative inner product."""
    asked = cast(list(vector), HALFVEC(encoder.dim))
    return vectors.op("<#>", return_type=Float())(asked).label("apart")


def hits_of(session: Session, best: Subquery) -> list[SceneHit]:
    """Read the scenes of a list of `scene_id` and `apart`, nearest first."""
    facts = (Scene.id, Scene.video_id, Scene.index, Scene.start_s, Scene.end_s, Scene.poster_key)
    rows = session.execute(
        select(*facts, Video.title, Video.created_at, best.c.apart)
        .join(best, best.c.scene_id == Scene.id)
        .join(Video, Video.id == Scene.video_id)
    )
    return [
        SceneHit(
            scene_id=row.id,
            video_id=row.video_id,
            index=row.index,
            start_s=float(row.start_s),
            end_s=float(row.end_s),
            score=round(-row.apart, 4),
            title=row.title,
            poster_key=row.poster_key,
            created_at=row.created_at,
        )
        # In order here: to the planner what the index gives is in order already.
        for row in sorted(rows, key=lambda row: (row.apart, row.id))
    ]
