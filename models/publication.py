"""Publish: the one transaction that makes a video's renditions, scenes and vectors visible."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID, uuid5

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.errors import Superseded
from core.values import DetectedShots, EncoderSpec, Stills, StoredFile, Ticket, Transcoded
from models.attempts import done, owned_and_open
from models.derived_file import DerivedFile
from models.encoder import SceneEmbedding
from models.rendition import Rendition
from models.scene import Scene, Shot
from models.spaces import find_space, register
from models.states import VideoStatus

#: Rows an INSERT carries at most; a statement takes 65,535 parameters.
BATCH: Final = 1_000


def scene_id(video_id: UUID, shots_fingerprint: str, index: int) -> UUID:
    """Give a scene's id: the same cut of the same video keeps it, so links and other encoders' vectors stay."""
    return uuid5(video_id, f"{shots_fingerprint}/{index}")


def scene_ids(session: Session, video_id: UUID) -> set[UUID]:
    """Give the scenes a video has; none is added or removed until this transaction ends."""
    return set(session.scalars(select(Scene.id).where(Scene.video_id == video_id).with_for_update(read=True)))


def publish(
    session: Session,
    ticket: Ticket,
    transcoded: Transcoded,
    detected: DetectedShots,
    stills: Stills,
    encoder: EncoderSpec,
    vectors: Sequence[Sequence[float]],
    degraded: Sequence[str] = (),
) -> None:
    """Replace what is visible of a video by this attempt's results and mark it indexed.

    Args:
        vectors: one unit row per scene, in order.

    Raises:
        Superseded: a newer attempt owns the video, or this one has ended (permanent).
    """
    video = owned_and_open(session, ticket)
    _replace_renditions(session, ticket, transcoded)
    _replace_files(session, ticket, {**transcoded.paths, **stills.storyboard})
    _replace_shots(session, ticket, detected)
    ids = _replace_scenes(session, ticket, detected, stills)
    _replace_vectors(session, ticket, register(session, encoder).id, ids, vectors)
    video.duration_s = transcoded.duration_s
    video.contact_sheet_key = stills.contact_sheet.key if stills.contact_sheet else None
    video.proxy_key = transcoded.proxy.file.key
    video.degraded = list(dict.fromkeys((*degraded, *transcoded.degraded, *stills.degraded)))
    video.status = VideoStatus.INDEXED
    video.indexed_at = func.now()
    video.auto_resumes = 0
    video.has_chunks = True
    done(session, ticket, video)


def add_vectors(
    session: Session,
    ticket: Ticket,
    shots_fingerprint: str,
    encoder: EncoderSpec,
    vectors: Sequence[Sequence[float]],
) -> None:
    """Write a video's vectors in one more space; those it has there are replaced. A space that is gone stays gone.

    Args:
        shots_fingerprint: names the scenes that the vectors were made for.
        vectors: one unit row per scene, in order.

    Raises:
        Superseded: the video has other scenes by now (permanent).
    """
    present = scene_ids(session, ticket.video_id)
    ids = [scene_id(ticket.video_id, shots_fingerprint, index) for index in range(len(vectors))]
    if present != set(ids):
        raise Superseded(f"The scenes of video {ticket.video_id} changed while vectors were made for them.")
    if (space := find_space(session, encoder)) is not None:
        _replace_vectors(session, ticket, space.id, ids, vectors)


def _replace_renditions(session: Session, ticket: Ticket, transcoded: Transcoded) -> None:
    session.execute(delete(Rendition).where(Rendition.video_id == ticket.video_id))
    session.add_all(
        Rendition(
            video_id=ticket.video_id,
            name=made.name,
            width=made.width,
            height=made.height,
            size_bytes=made.file.size_bytes,
            key=made.file.key,
            fingerprint=made.fingerprint,
        )
        for made in transcoded.renditions
    )


def _replace_files(session: Session, ticket: Ticket, paths: Mapping[str, StoredFile]) -> None:
    session.execute(delete(DerivedFile).where(DerivedFile.video_id == ticket.video_id))
    session.add_all(
        DerivedFile(video_id=ticket.video_id, path=path, key=file.key) for path, file in sorted(paths.items())
    )


def _replace_shots(session: Session, ticket: Ticket, detected: DetectedShots) -> None:
    session.execute(delete(Shot).where(Shot.video_id == ticket.video_id))
    session.add_all(
        Shot(video_id=ticket.video_id, index=index, **shot.model_dump()) for index, shot in enumerate(detected.shots)
    )


def _replace_scenes(session: Session, ticket: Ticket, detected: DetectedShots, stills: Stills) -> list[UUID]:
    rows = [
        {
            "id": scene_id(ticket.video_id, detected.fingerprint, scene.index),
            "video_id": ticket.video_id,
            "owner_id": ticket.owner_id,
            "index": scene.index,
            "start_s": scene.start_s,
            "end_s": scene.end_s,
            "poster_key": poster.key if poster else None,
        }
        for scene, poster in zip(detected.scenes, stills.posters, strict=True)
    ]
    ids = [row["id"] for row in rows]
    session.execute(delete(Scene).where(Scene.video_id == ticket.video_id, Scene.id.not_in(ids)))
    for first in range(0, len(rows), BATCH):
        statement = insert(Scene).values(rows[first : first + BATCH])
        session.execute(
            statement.on_conflict_do_update(
                index_elements=[Scene.id], set_={"poster_key": statement.excluded.poster_key}
            )
        )
    return ids  # type: ignore[return-value]


def _replace_vectors(
    session: Session, ticket: Ticket, encoder_id: int, ids: Sequence[UUID], vectors: Sequence[Sequence[float]]
) -> None:
    rows = [
        {"scene_id": scene, "encoder_id": encoder_id, "owner_id": ticket.owner_id, "vector": list(vector)}
        for scene, vector in zip(ids, vectors, strict=True)
    ]
    for first in range(0, len(rows), BATCH):
        statement = insert(SceneEmbedding).values(rows[first : first + BATCH])
        session.execute(
            statement.on_conflict_do_update(
                index_elements=[SceneEmbedding.scene_id, SceneEmbedding.encoder_id],
                set_={"vector": statement.excluded.vector},
                # The same vector again would be a dead row and another entry in the index.
                where=SceneEmbedding.vector.is_distinct_from(statement.excluded.vector),
            )
        )
