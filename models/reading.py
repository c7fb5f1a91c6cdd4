"""What people ask: videos, their parts, and scenes nearest to a vector."""

import datetime as dt
from collections.abc import Sequence
from uuid import UUID

from pgvector.sqlalchemy import HALFVEC
from pydantic import BaseModel, ConfigDict
from sqlalchemy import cast, select, tuple_
from sqlalchemy.orm import Session, selectinload

from models.encoder import Encoder, SceneEmbedding
from models.scene import Scene
from models.source_object import SourceObject
from models.states import VideoStatus
from models.video import Video


class SceneHit(BaseModel):
    """One scene that answers a search; `score` is the cosine similarity."""

    model_config = ConfigDict(frozen=True)

    scene_id: UUID
    video_id: UUID
    start_s: float
    end_s: float
    score: float
    title: str
    poster_key: str | None


def video_with_parts(session: Session, video_id: UUID) -> Video | None:
    """Give a video with its source, renditions, shots, scenes and ledger; None when there is none."""
    return session.scalar(
        select(Video)
        .where(Video.id == video_id)
        .options(
            selectinload(Video.source),
            selectinload(Video.renditions),
            selectinload(Video.shots),
            selectinload(Video.scenes),
            selectinload(Video.stage_runs),
        )
    )


def list_videos(
    session: Session,
    *,
    owner_id: str | None = None,
    status: VideoStatus | None = None,
    ids: tuple[UUID, UUID] | None = None,
    key: str | None = None,
    after: tuple[dt.datetime, UUID] | None = None,
    limit: int = 50,
) -> Sequence[Video]:
    """Give videos, newest first.

    Args:
        ids: the lowest and the highest id wanted.
        key: of the object they were uploaded as; each version of it is a video.
        after: the last one's (created_at, id) of the page before.
    """
    query = select(Video).order_by(Video.created_at.desc(), Video.id.desc()).limit(limit)
    if owner_id is not None:
        query = query.where(Video.owner_id == owner_id)
    if status is not None:
        query = query.where(Video.status == status)
    if ids is not None:
        query = query.where(Video.id.between(*ids))
    if key is not None:
        query = query.where(Video.source.has(SourceObject.key == key))
    if after is not None:
        query = query.where(tuple_(Video.created_at, Video.id) < after)
    return session.scalars(query).all()


def active_encoder(session: Session) -> Encoder | None:
    """Give the encoder that answers searches; None before anything was indexed."""
    return session.scalar(select(Encoder).where(Encoder.is_active))


def nearest_scenes(
    session: Session, encoder: Encoder, vector: Sequence[float], *, owner_id: str, limit: int
) -> list[SceneHit]:
    """Give the owner's scenes nearest to a unit vector, best first, by an exact scan of one encoder's space."""
    space = HALFVEC(encoder.dim)
    distance = cast(SceneEmbedding.vector, space).cosine_distance(cast(list(vector), space))
    rows = session.execute(
        select(Scene, Video.title, distance.label("distance"))
        .join(SceneEmbedding, SceneEmbedding.scene_id == Scene.id)
        .join(Video, Video.id == Scene.video_id)
        .where(SceneEmbedding.encoder_id == encoder.id, SceneEmbedding.owner_id == owner_id)
        .order_by("distance", Scene.id)
        .limit(limit)
    )
    return [
        SceneHit(
            scene_id=scene.id,
            video_id=scene.video_id,
            start_s=float(scene.start_s),
            end_s=float(scene.end_s),
            score=round(1 - float(apart), 4),
            title=title,
            poster_key=scene.poster_key,
        )
        for scene, title, apart in rows
    ]
