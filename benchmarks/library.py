"""A library in memory, made and asked as the product does it: scenes of real films, and the hits of a text."""

import datetime as dt
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np

from benchmarks.bundled_encoder import QUERIES, samples
from benchmarks.proxies import transcoded
from core.settings import EncoderSettings, MediaSettings, ShotSettings
from core.values import seconds
from encoders.load import load
from encoders.protocol import Vectors
from encoders.scenes import embed
from media.scenes import scenes_from
from media.shots import detect_shots
from media.telling import telling_frames
from media.timing import frame_times
from media.tools import Tools, find_tools
from models.nearest import SceneHit
from service.finding import DEPTHS
from service.judging import Sort, judge
from service.ranking import collapse, fuse

_NAMES = UUID(int=0)
_UPLOADED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class FirstHit:
    """What a search shows first."""

    film: str
    #: 0 to 1.
    confidence: float
    #: Nothing on any page is a good match.
    is_nothing_good: bool


class Library:
    """Scenes of films with their vectors, to the half precision that the database keeps."""

    def __init__(self, settings: EncoderSettings, films: list[str], owners: list[int], vectors: Vectors) -> None:
        self._settings = settings
        self.films = films
        self._owners = owners
        self.vectors = vectors.astype(np.float16).astype(np.float32)

    def first_hit(self, text: str) -> FirstHit:
        """Search with no title and no description to help."""
        asked = load(self._settings).encode_texts([text])[0]
        scores = self.vectors @ asked.astype(np.float16).astype(np.float32)
        found = [self._hit(int(row), float(scores[row])) for row in np.argsort(-scores)[: DEPTHS[-1]]]
        vectors = {hit.scene_id: self.vectors[hit.index] for hit in found}
        distinct = collapse(fuse(found, [], together=DEPTHS[0]), vectors)
        judged = judge(self._settings, Sort.TEXT, asked.tolist(), distinct, vectors)
        confidence = judged[0].confidence
        assert confidence is not None
        return FirstHit(distinct[0].candidate.scene.title, confidence, not any(each.is_good_match for each in judged))

    def _hit(self, row: int, score: float) -> SceneHit:
        film = self.films[self._owners[row]]
        return SceneHit(
            scene_id=uuid5(_NAMES, str(row)),
            video_id=uuid5(_NAMES, film),
            index=row,
            start_s=0,
            end_s=1,
            score=score,
            title=film,
            poster_key=None,
            created_at=_UPLOADED,
        )


def library_of(settings: EncoderSettings) -> Library:
    """Bring the films of the sample folder to scenes and vectors by every step of the pipeline."""
    folder, names, tools = samples(), list(json.loads(QUERIES.read_text())), find_tools(MediaSettings())
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        sys.exit(f"{folder} lacks {', '.join(missing)}")
    parts = [_vectors(settings, folder / name, tools) for name in names]
    owners = [film for film, part in enumerate(parts) for _ in part]
    return Library(settings, names, owners, np.concatenate(parts))


def _vectors(settings: EncoderSettings, film: Path, tools: Tools) -> Vectors:
    shots = ShotSettings()
    with tempfile.TemporaryDirectory() as scratch:
        proxy = transcoded(film, Path(scratch), tools, with_rungs=False)
        duration_s = seconds(frame_times(proxy).duration)
        scenes = scenes_from(detect_shots(proxy, shots, tools), duration_s, shots.min_scene_s, shots.max_scene_s)
        frames = telling_frames(proxy, scenes, settings.frames_per_scene, tools)
        return embed(load(settings), frames, len(scenes))
