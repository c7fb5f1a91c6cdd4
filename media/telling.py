"""Pictures that say what scenes show, for embedding: keyframes of the proxy where they suffice, as they cost least."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.values import Scene
from media.frames import (
    BLURRED,
    SCENES_PER_BATCH,
    Frames,
    batch_frames,
    frames_at,
    is_blank,
    picture_numbers,
)
from media.timing import FrameTimes, frame_times
from media.tools import Tools

#: Scenes whose pictures are held at once, where each is decoded alone and none beside it to choose from.
KEYED_SCENES_PER_BATCH: Final = 2 * SCENES_PER_BATCH
#: Bytes that say nothing of a picture: what an encoder writes about itself into the first one of each chunk.
_HEADER_BYTES: Final = 1024
#: Keyframes stand for a scene where there are so many a second at least; proxies of earlier releases have fewer.
_KEYS_PER_S: Final = 1.0


def telling_frames(
    proxy: Path, scenes: Sequence[Scene], per_scene: int, tools: Tools
) -> Iterator[tuple[Frames, NDArray[np.int64]]]:
    """Give the pictures that say what a scene shows: blank ones only where all of a scene are; see scene_frames.

    They are keyframes where the proxy has enough of them: what lies in between is not even read.
    """
    times = frame_times(proxy)
    for has_keys, some in groupby(scenes, lambda scene: _keys(times, scene) is not None):
        run, at_once = list(some), KEYED_SCENES_PER_BATCH if has_keys else SCENES_PER_BATCH
        for first in range(0, len(run), at_once):
            batch = run[first : first + at_once]
            pictures, owners = (_key_frames if has_keys else batch_frames)(proxy, times, batch, per_scene, tools)
            shows = np.array([not is_blank(picture) for picture in pictures], bool)
            kept = shows | ~np.isin(owners, owners[shows])
            yield pictures[kept], owners[kept]


def _key_frames(
    proxy: Path, times: FrameTimes, scenes: Sequence[Scene], per_scene: int, tools: Tools
) -> tuple[Frames, NDArray[np.int64]]:
    """Give keyframes of some neighbouring scenes, spread over each, passing over those that say little."""
    chosen = [(scene.index, key) for scene in scenes for key in _telling_keys(times, scene, per_scene)]
    numbers = sorted({key for _, key in chosen})
    pictures = frames_at(proxy, times, numbers, tools)
    return pictures[np.searchsorted(numbers, [key for _, key in chosen])], np.array([i for i, _ in chosen], np.int64)


def _keys(times: FrameTimes, scene: Scene) -> slice | None:
    """Say which of the keyframes are a scene's; None where they are too few to stand for it."""
    first, end = np.searchsorted(times.keys, picture_numbers(times, scene))
    enough = max(1.0, _KEYS_PER_S * float(scene.end_s - scene.start_s))
    return slice(int(first), int(end)) if end - first >= enough else None


def _telling_keys(times: FrameTimes, scene: Scene, per_scene: int) -> list[int]:
    """Give the numbers of keyframes spread over a scene that has enough of them.

    At one quality, bytes are detail: one that takes few beside another of its share is blank or blurred.
    """
    place = _keys(times, scene)
    chosen = []
    for share in np.array_split(np.arange(len(times.keys))[place], min(per_scene, len(times.keys[place]))):
        middle, richest = share[len(share) // 2], share[times.key_bytes[share].argmax()]
        is_poor = (times.key_bytes[middle] + _HEADER_BYTES) * BLURRED < times.key_bytes[richest]
        chosen.append(int(times.keys[richest if is_poor else middle]))
    return chosen
