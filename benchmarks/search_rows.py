"""Videos, scenes and vectors that stand for a library: topics, videos of a topic, scenes of a video."""

from typing import Final, NamedTuple
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector import HalfVector
from pgvector.psycopg import register_vector
from sqlalchemy import text

from core.settings import DatabaseSettings
from models.session import engine_for

DIM: Final = 384
SCENES_PER_VIDEO: Final = 10
TOPICS: Final = 300
#: How much of a vector is its topic's, its video's and its own.
TOPIC, VIDEO, OWN = 0.6, 0.5, 0.45
#: Variance of the i-th direction falls as i^-0.8 (participation ratio 64); over the bundled encoder's class vectors it
#: falls as i^-1.04 from the 5th to the 200th (91).
SPECTRUM: Final = np.arange(1, DIM + 1, dtype=np.float32) ** -0.4
#: Which share of the videos each owner has; the rest is one more's.
SHARES: Final = {"0.1 %": 0.001, "1 %": 0.01, "2 %": 0.02, "4 %": 0.04, "10 %": 0.1, "50 %": 0.5}

_DIRECTIONS: Final = SPECTRUM / np.linalg.norm(SPECTRUM)
_TOPICS: Final = np.random.default_rng(7).standard_normal((TOPICS, DIM), dtype=np.float32) * _DIRECTIONS


class Rows(NamedTuple):
    """What was written, in one order; vectors are as the database rounded them."""

    ids: list[UUID]
    owners: NDArray[np.str_]
    vectors: NDArray[np.float32]


def vectors_like_scenes(random: np.random.Generator, videos: int, scenes: int = 1) -> NDArray[np.float32]:
    """Draw unit vectors of videos nobody has seen: (videos * scenes, DIM)."""
    topic = _TOPICS[random.integers(0, TOPICS, videos)]
    video = random.standard_normal((videos, DIM), dtype=np.float32) * _DIRECTIONS
    own = random.standard_normal((videos * scenes, DIM), dtype=np.float32) * _DIRECTIONS
    drawn = np.repeat(TOPIC * topic + VIDEO * video, scenes, axis=0) + OWN * own
    unit: NDArray[np.float32] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def fill(settings: DatabaseSettings, scenes: int) -> Rows:
    """Write that many scenes with their videos and vectors."""
    random = np.random.default_rng(scenes)
    videos = scenes // SCENES_PER_VIDEO
    vectors = vectors_like_scenes(random, videos, SCENES_PER_VIDEO).astype(np.float16)
    owners = _owners(random, videos)
    ids = [UUID(bytes=random.bytes(16), version=4) for _ in range(videos + scenes)]
    per_scene = np.repeat(owners, SCENES_PER_VIDEO)
    raw = engine_for(settings).raw_connection()
    try:
        _copy(raw.driver_connection, owners, per_scene, ids[:videos], ids[videos:], vectors)
        raw.commit()
    finally:
        raw.close()
    with engine_for(settings).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return Rows(ids[videos:], per_scene, vectors.astype(np.float32))


def _owners(random: np.random.Generator, videos: int) -> NDArray[np.str_]:
    owners = np.full(videos, "the rest")
    shuffled, first = random.permutation(videos), 0
    for name, share in SHARES.items():
        last = first + max(1, round(share * videos))
        owners[shuffled[first:last]] = name
        first = last
    return owners


def _copy(
    connection: psycopg.Connection,
    owners: NDArray[np.str_],
    per_scene: NDArray[np.str_],
    video_ids: list[UUID],
    scene_ids: list[UUID],
    vectors: NDArray[np.float16],
) -> None:
    register_vector(connection)
    cursor = connection.cursor()
    with cursor.copy("COPY video (id, owner_id, title, status, indexed_at) FROM STDIN") as rows:
        for number, (video, owner) in enumerate(zip(video_ids, owners.tolist(), strict=True)):
            rows.write_row((video, owner, f"film {number}", "indexed", "now"))
    columns = "id, video_id, owner_id, index, start_s, end_s"
    with cursor.copy(f"COPY scene ({columns}) FROM STDIN") as rows:
        for number, (scene, owner) in enumerate(zip(scene_ids, per_scene.tolist(), strict=True)):
            video, index = divmod(number, SCENES_PER_VIDEO)
            rows.write_row((scene, video_ids[video], owner, index, index, index + 1))
    with cursor.copy(
        "COPY scene_embedding (scene_id, encoder_id, owner_id, vector) FROM STDIN (FORMAT BINARY)"
    ) as rows:
        rows.set_types(["uuid", "int2", "text", "halfvec"])
        for scene, owner, vector in zip(scene_ids, per_scene.tolist(), vectors, strict=True):
            rows.write_row((scene, 1, owner, HalfVector(vector)))
