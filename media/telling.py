"""Pictures that say what scenes show, for embedding: keyframes of the proxy where they suffice, as they cost least."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.values import Scene
from media.frames import (
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
KEYED_SCENES_PER_BATCH: Final = 4 * SCENES_PER_BATCH


def telling_frames(
    proxy: Path, scenes: Sequence[Scene], per_scene: int, tools: Tools
) -> Iterator[tuple[Frames, NDArray[np.int64]]]:
    """Give the pictures that say what a scene shows: blank ones only where all of a scene are; see scene_frames.

    They are keyframes where the proxy has enough of them: what lies in between is not even read.
    """
    times = frame_times(proxy)
    for has_enough, group in groupby(scenes, lambda scene: len(_keyframes_of(times, scene, per_scene)) > 0):
        alike, at_once = list(group), KEYED_SCENES_PER_BATCH if has_enough else SCENES_PER_BATCH
        for first in range(0, len(alike), at_once):
            batch = alike[first : first + at_once]
            pictures, owners = (_key_frames if has_enough else batch_frames)(proxy, times, batch, per_scene, tools)
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


def _keyframes_of(times: FrameTimes, scene: Scene, per_scene: int) -> NDArray[np.int64]:
    """Give the places, among all keyframes, of those of a scene; none where they are fewer than the pictures wanted."""
    first, end = picture_numbers(times, scene)
    begin, until = np.searchsorted(times.keyframes, (first, end))
    return np.arange(begin, until if until - begin >= min(per_scene, end - first) else begin)


def _telling_keys(times: FrameTimes, scene: Scene, per_scene: int) -> list[int]:
    """Give the numbers of keyframes spread over a scene that has enough: the one of most bytes of each slot.

    At one quality, bytes are detail: what is blank, blurred or in between two shots takes few. Searches judge scenes
    better by these than by the middle ones (benchmarks/confidence.py).
    """
    slots = np.array_split(_keyframes_of(times, scene, per_scene), per_scene)
    richest = [slot[times.keyframe_bytes[slot].argmax()] for slot in slots if len(slot)]
    return [int(times.keyframes[place]) for place in richest]
