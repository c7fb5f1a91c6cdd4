"""What a search needs besides the nearest scenes: the best ones of given videos, vectors, one scene with its video."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import LargeBinary, func, select
from sqlalchemy.orm import Session, joinedload

from models.encoder import Encoder, SceneEmbedding
from models.nearest import SceneFilters, SceneHit, distance, hits_of
from models.scene import Scene

#: Scenes that stand for a video whose words match: its title says what it is about, not where in it.
SCENES_OF_A_VIDEO: Final = 3


def best_of_videos(
    session: Session,
    encoder: Encoder,
    vector: Sequence[float],
    *,
    owner_id: str,
    video_ids: Collection[UUID],
    filters: SceneFilters,
) -> dict[UUID, list[SceneHit]]:
    """Give the few scenes of each video that are nearest to a unit vector, best first, by an exact scan."""
    apart = distance(encoder, SceneEmbedding.vector, vector)
    place = func.row_number().over(partition_by=Scene.video_id, order_by=(apart.element, Scene.id))
    ranked = (
        select(Scene.id.label("scene_id"), apart, place.label("place"))
        .join(SceneEmbedding, SceneEmbedding.scene_id == Scene.id)
        .where(
            SceneEmbedding.encoder_id == encoder.id,
            SceneEmbedding.owner_id == owner_id,
            Scene.video_id.in_(video_ids),
            *filters.of_scene(),
        )
        .subquery("ranked")
    )
    best = select(ranked).where(ranked.c.place <= SCENES_OF_A_VIDEO).subquery("best")
    found: dict[UUID, list[SceneHit]] = {}
    for hit in hits_of(session, best):
        found.setdefault(hit.video_id, []).append(hit)
    return found


def vectors_of(session: Session, encoder: Encoder, scene_ids: Collection[UUID]) -> dict[UUID, NDArray[np.float32]]:
    """Give the unit vectors that scenes have in a space; what has none is left out."""
    # In the type's binary form (a head of four bytes, then the numbers): as text each number would be parsed.
    sent = func.halfvec_send(SceneEmbedding.vector, type_=LargeBinary)
    rows = session.execute(
        select(SceneEmbedding.scene_id, sent).where(
            SceneEmbedding.encoder_id == encoder.id, SceneEmbedding.scene_id.in_(scene_ids)
        )
    )
    return {scene_id: np.frombuffer(vector, ">f2", offset=4).astype(np.float32) for scene_id, vector in rows}


def scene_with_video(session: Session, scene_id: UUID, *, owner_id: str) -> Scene | None:
    """Give a scene with its video; None when there is none, or it is somebody else's."""
    return session.scalar(
        select(Scene).where(Scene.id == scene_id, Scene.owner_id == owner_id).options(joinedload(Scene.video))
    )
