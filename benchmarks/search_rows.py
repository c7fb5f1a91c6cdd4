"""Videos, scenes and vectors that stand for a library: topics, videos of a topic, scenes of a video."""

from typing import Final, NamedTuple, cast
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
#: Owners whose videos are all of a few topics, which few queries are about: an index is walked long before it meets them.
BOUND_SHARES: Final = {"1 %, bound": 0.01, "4 %, bound": 0.04, "10 %, bound": 0.1}
TOPICS_OF_A_BOUND_OWNER: Final = 3
#: Lengths of videos are spread evenly up to this, seconds.
LONGEST_S: Final = 1_000

_DIRECTIONS: Final = SPECTRUM / np.linalg.norm(SPECTRUM)
_TOPICS: Final = np.random.default_rng(7).standard_normal((TOPICS, DIM), dtype=np.float32) * _DIRECTIONS


class Rows(NamedTuple):
    """What was written, in one order; vectors are as the database rounded them."""

    ids: list[UUID]
    video_ids: list[UUID]
    #: Per scene, as all below.
    owners: NDArray[np.str_]
    #: Of its video, seconds.
    lengths_s: NDArray[np.float64]
    vectors: NDArray[np.float32]


def vectors_like_scenes(
    random: np.random.Generator, videos: int, scenes: int = 1, topics: NDArray[np.int_] | None = None
) -> NDArray[np.float32]:
    """Draw unit vectors of videos nobody has seen: (videos * scenes, DIM)."""
    topic = _TOPICS[random.integers(0, TOPICS, videos) if topics is None else topics]
    video = random.standard_normal((videos, DIM), dtype=np.float32) * _DIRECTIONS
    own = random.standard_normal((videos * scenes, DIM), dtype=np.float32) * _DIRECTIONS
    drawn = np.repeat(TOPIC * topic + VIDEO * video, scenes, axis=0) + OWN * own
    unit: NDArray[np.float32] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def draw(scenes: int) -> Rows:
    """Draw that many scenes; the same ones at every call."""
    random = np.random.default_rng(scenes)
    videos = scenes // SCENES_PER_VIDEO
    owners, topics = _owners(random, videos)
    vectors = vectors_like_scenes(random, videos, SCENES_PER_VIDEO, topics).astype(np.float16)
    lengths = random.uniform(0, LONGEST_S, videos).round(3)
    ids = [UUID(bytes=random.bytes(16), version=4) for _ in range(videos + scenes)]
    per_scene = np.repeat(owners, SCENES_PER_VIDEO)
    return Rows(ids[videos:], ids[:videos], per_scene, np.repeat(lengths, SCENES_PER_VIDEO), vectors.astype(np.float32))


def fill(settings: DatabaseSettings, rows: Rows) -> None:
    """Write scenes with their videos and vectors."""
    raw = engine_for(settings).raw_connection()
    try:
        _copy(cast("psycopg.Connection", raw.driver_connection), rows)
        raw.commit()
    finally:
        raw.close()
    with engine_for(settings).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _owners(random: np.random.Generator, videos: int) -> tuple[NDArray[np.str_], NDArray[np.int_]]:
    """Give each video its owner and its topic."""
    owners, topics = np.full(videos, "the rest", "<U16"), random.integers(0, TOPICS, videos)
    shuffled, first = random.permutation(videos), 0
    for name, share in (SHARES | BOUND_SHARES).items():
        last = first + max(1, round(share * videos))
        owners[shuffled[first:last]] = name
        if name in BOUND_SHARES:
            few = random.choice(TOPICS, TOPICS_OF_A_BOUND_OWNER, replace=False)
            topics[shuffled[first:last]] = random.choice(few, last - first)
        first = last
    return owners, topics


def _copy(connection: psycopg.Connection, rows: Rows) -> None:
    register_vector(connection)
    cursor = connection.cursor()
    with cursor.copy("COPY video (id, owner_id, title, status, indexed_at, duration_s) FROM STDIN") as written:
        for number, video_id in enumerate(rows.video_ids):
            first = number * SCENES_PER_VIDEO
            owner, length = str(rows.owners[first]), float(rows.lengths_s[first])
            written.write_row((video_id, owner, f"film {number}", "indexed", "now", length))
    owners = rows.owners.tolist()
    with cursor.copy("COPY scene (id, video_id, owner_id, index, start_s, end_s) FROM STDIN") as written:
        for number, (scene, owner) in enumerate(zip(rows.ids, owners, strict=True)):
            video, index = divmod(number, SCENES_PER_VIDEO)
            written.write_row((scene, rows.video_ids[video], owner, index, index, index + 1))
    with cursor.copy(
        "COPY scene_embedding (scene_id, encoder_id, owner_id, vector) FROM STDIN (FORMAT BINARY)"
    ) as written:
        written.set_types(["uuid", "int2", "text", "halfvec"])
        for scene, owner, vector in zip(rows.ids, owners, rows.vectors, strict=True):
            written.write_row((scene, 1, owner, HalfVector(vector)))
