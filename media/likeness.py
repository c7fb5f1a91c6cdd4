"""Whether neighbouring shots look alike: a talk cut back and forth, or one place seen twice, can be one scene."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.values import Scene, Shot
from media.frames import Frames, scene_frames
from media.tools import Tools

#: Pictures looked at in each shot, spread over it.
PICTURES_PER_SHOT: Final = 3
#: Steps of each colour channel in a histogram: light may change a little within one place.
COLOUR_STEPS: Final = 6
#: Likeness is compared after so many rows and columns are passed over: colours need no sharp picture.
_STRIDE: Final = 4


def continued_starts(proxy: Path, shots: Sequence[Shot], least: float | None, tools: Tools) -> frozenset[Decimal]:
    """Give the starts of the shots whose colours are at least so much like those of the shot before.

    Two shots are as alike as the most alike pair of their pictures. Memory does not grow with the video.

    Args:
        least: 0 to 1, the share of the picture that has the same colours in both; None: nothing is alike.

    Raises:
        EncoderRejected: the proxy cannot be decoded (permanent).
    """
    if least is None:
        return frozenset()
    spans = [Scene(index=i, start_s=shot.start_s, end_s=shot.end_s) for i, shot in enumerate(shots)]
    found: set[Decimal] = set()
    before = np.zeros((0, COLOUR_STEPS**3))
    for pictures, owners in scene_frames(proxy, spans, PICTURES_PER_SHOT, tools):
        for index in np.unique(owners):
            colours = np.stack([colour_histogram(picture) for picture in pictures[owners == index]])
            if len(before) and likeness(before, colours) >= least:
                found.add(shots[index].start_s)
            before = colours
    return frozenset(found)


def colour_histogram(picture: Frames) -> NDArray[np.float64]:
    """Give the share of the picture that each colour has; (steps ** 3,), the sum is 1."""
    steps = picture[::_STRIDE, ::_STRIDE].reshape(-1, 3).astype(np.int64) * COLOUR_STEPS // 256
    numbers = (steps[:, 0] * COLOUR_STEPS + steps[:, 1]) * COLOUR_STEPS + steps[:, 2]
    return np.bincount(numbers, minlength=COLOUR_STEPS**3) / len(numbers)


def likeness(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Give the intersection of the two most alike histograms, 0 to 1."""
    return float(np.minimum(one[:, None], other[None, :]).sum(axis=2).max())
