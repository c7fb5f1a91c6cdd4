"""How much, and in which way, the picture changes around each frame: quick to compute, and blind to no transition.

Three things tell a new picture from an old one that moves. Straightness: within a cut, a dissolve or a wipe every
part of the picture goes straight from its old to its new colour; in a moving picture it goes to and fro, and after a
flash it is back where it was. Unlikeness: more or less light leaves the pattern of the picture as it is. Contrast:
two pictures on top of one another have less of it than each of them, and a fade has none in its middle.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from media.cuts import HEIGHT, WIDTH
from media.frames import Frames

#: Frames before and after a frame that its evidence depends on.
REACH: Final = 16
#: Frames whose evidence is computed at once: memory stays flat whatever the length of the video.
BLOCK: Final = 1024
#: Rows and columns of the cells that are compared.
ROWS, COLUMNS = 9, 16
_CELLS: Final = ROWS * COLUMNS
#: Contrast (standard deviation of the brightness, of 255) below which a picture has no pattern to compare.
_PLAIN: Final = 4.0
#: Contrast below which a picture may be the middle of a fade, and the least that counts when contrasts are compared.
_FADED, _LEAST = 16.0, 8.0
#: Change per cell and channel, of 255, that compression alone makes.
_NOISE: Final = 1.0
#: Frames over which a transition's ends are looked at.
_SPANS: Final = (1, 3, 7, 13, 19, 25)

#: Weights of a logistic regression, fitted by `python -m benchmarks.shots_fit` on its development compositions.
CUT_WEIGHTS: Final = (4.33, 3.02, 1.66, 5.22, 2.42, -9.80)
GRADUAL_WEIGHTS: Final = (2.32, 1.48, 2.56, 2.98, -4.63, 4.45, -2.46)

Floats = NDArray[np.float32]


class Evidence(NamedTuple):
    """How likely it is, 0 to 1, that a shot begins at each frame."""

    #: (frames,): by a hard cut right before the frame.
    cut: Floats
    #: (frames,): by a transition whose middle is right before the frame.
    gradual: Floats


class Block(NamedTuple):
    """Some frames of a video with those around them."""

    #: (k, 27, 48, 3), the frames that count and up to the margin before and after them.
    frames: Frames
    #: The frames that count: frames[first:end].
    first: int
    end: int


def blocks(pictures: Iterator[Frames], margin: int, size: int = BLOCK) -> Iterator[Block]:
    """Regroup a video so that every frame counts once and has its surroundings with it.

    Args:
        pictures: batches of (k, 27, 48, 3) in order.
    """
    held = np.zeros((0, HEIGHT, WIDTH, 3), np.uint8)
    first = 0
    for batch in pictures:
        held = np.concatenate([held, batch])
        while len(held) >= first + size + margin:
            end = first + size
            yield Block(held[: end + margin], first, end)
            passed = max(0, end - margin)
            held, first = held[passed:], end - passed
    if len(held) > first:
        yield Block(held, first, len(held))


def evidence(frames: Frames) -> Evidence:
    """Weigh what changes around each frame.

    Args:
        frames: (k, 27, 48, 3), 0-255, consecutive; the order of the channels does not matter.
    """
    cut, gradual = measures(frames)
    return Evidence(_odds(cut, CUT_WEIGHTS), _odds(gradual, GRADUAL_WEIGHTS))


def measures(frames: Frames) -> tuple[Floats, Floats]:
    """Give what the weights apply to: (k, 5) for cuts and (k, 6) for gradual transitions."""
    cells = frames.reshape(len(frames), ROWS, HEIGHT // ROWS, COLUMNS, WIDTH // COLUMNS, 3)
    colours = cells.mean(axis=(2, 4), dtype=np.float32).reshape(len(frames), _CELLS * 3)
    brightness = colours.reshape(len(frames), _CELLS, 3).mean(axis=2)
    contrast = brightness.std(axis=1)
    steps = np.abs(np.diff(colours, axis=0, prepend=colours[:1])).mean(axis=1)
    paths = np.cumsum(steps, dtype=np.float64)
    unlike: dict[int, Floats] = {}
    new: dict[int, Floats] = {}
    path: dict[int, Floats] = {}
    for span in _SPANS:
        before, after = _at(len(frames), -1 - (span - 1) // 2), _at(len(frames), span // 2)
        unlike[span] = _unlikeness(brightness[before], brightness[after])
        path[span] = (paths[after] - paths[before]).astype(np.float32)
        apart = np.abs(colours[after] - colours[before]).mean(axis=1)
        # Straight and unlike: one without the other is motion, or light.
        new[span] = unlike[span] * apart / np.maximum(path[span], _NOISE)
    suddenness = steps / np.maximum(path[7], _NOISE / (_CELLS * 3))
    cut = np.stack([unlike[1], new[3], new[7], suddenness, np.log1p(steps) / 5], axis=1)
    mixed = _mixedness(contrast)
    gradual = np.stack([new[13], new[19], new[25], unlike[19], *mixed], axis=1)
    return cut.astype(np.float32), gradual.astype(np.float32)


def _mixedness(contrast: Floats) -> tuple[Floats, Floats]:
    """Give the contrast in the middle as a share of that at the ends, and how far a fade goes to nothing."""

    def at(offset: int) -> Floats:
        return contrast[_at(len(contrast), offset)]

    share = (at(0) + at(-1)) / np.maximum(at(-10) + at(9), 2 * _LEAST)
    least = np.min([at(offset) for offset in range(-6, 7)], axis=0)
    between_pictures = np.minimum(at(-12), at(12)) > _FADED
    return share, np.clip(1 - least / _FADED, 0, 1) * between_pictures


def _at(count: int, offset: int) -> NDArray[np.int64]:
    """Number the frames that are so much later than each frame; beyond the ends stand the ends."""
    return np.clip(np.arange(count) + offset, 0, count - 1)


def _unlikeness(before: Floats, after: Floats) -> Floats:
    """Give one minus the correlation of the patterns, at most 1; pictures without pattern are unlike any other."""
    before = before - before.mean(axis=1, keepdims=True)
    after = after - after.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    likeness = (before * after).sum(axis=1) / np.maximum(lengths, _CELLS * _PLAIN**2)
    return np.asarray(1 - np.clip(likeness, 0, 1), np.float32)


def _odds(rows: Floats, weights: tuple[float, ...]) -> Floats:
    *slopes, base = weights
    return np.asarray(1 / (1 + np.exp(-(rows @ np.array(slopes, np.float32) + base))), np.float32)
