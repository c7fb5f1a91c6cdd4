"""Cuts by TransNetV2 (Souček and Lokoč 2020): a network that looks at 48 x 27 pictures, a window at a time.

The package's own prediction runs in float32 on windows of 100 frames of which 50 count. Windows of 200 of
which 150 count give the same cuts for two thirds of the work, and bfloat16 halves what is left where the
processor has it (benchmarks/shots.py prints both). What the network is unsure of is settled by looking:
a flash or a wave of light shows the same picture before and after, a weak dissolve another one.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.memory import busy_when_out_of_memory
from core.values import CutKind
from media.cuts import HEIGHT, WIDTH, Cut
from media.frames import Frames
from media.transnet_network import SETTING, Device, network

#: Frames a window holds, and how many at each end are only there as context (the package's own margin).
WINDOW, MARGIN = 200, 25
KEPT: Final = WINDOW - 2 * MARGIN
#: Probability that makes a boundary when the pictures on both sides say nothing; the authors' own.
THRESHOLD: Final = 0.5
#: Correlation below which two pictures are unlike, and the probability that is enough between such.
UNLIKE, THRESHOLD_UNLIKE = 0.5, 0.25
#: Correlation above which they are alike, and the probability that is needed to call it a cut all the same.
ALIKE, THRESHOLD_ALIKE = 0.85, 0.75
#: Frames away from a transition at which the pictures are compared: its own ends are still mixed.
LOOK_AWAY: Final = 3
#: Probability at which a frame is taken for a part of a transition whose middle is a boundary.
PART_THRESHOLD: Final = 0.3
#: A transition of more frames than this is gradual; a hard cut marks the one frame before it, at times two.
MAX_CUT_FRAMES: Final = 3
#: Frames within a fade that the network may take for quiet: between out and in; longer ones when they are blank.
MAX_QUIET_FRAMES, MAX_BLANK_FRAMES = 3, 25
#: Brightness of a blank picture varies less than this, of 255.
BLANK_SPREAD: Final = 16.0
#: Rows and columns that pictures are compared in.
LOOK_ROWS, LOOK_COLUMNS = 9, 16


class Probabilities(NamedTuple):
    """What the network thinks of each frame, and what the frame looks like."""

    #: (frames,), 0 to 1: the middle of a transition; for a hard cut, the last frame before it.
    boundary: NDArray[np.float32]
    #: (frames,), 0 to 1: any part of a transition.
    part: NDArray[np.float32]
    #: (frames, 9, 16), 0-255: brightness, coarse.
    looks: NDArray[np.uint8]

    def within(self, frames: slice) -> "Probabilities":
        """Give what is said of some of the frames."""
        return Probabilities(self.boundary[frames], self.part[frames], self.looks[frames])


def find_transnet_cuts(pictures: Iterator[Frames], device: Device = "auto") -> Sequence[Cut]:
    """Find hard cuts and gradual transitions.

    Args:
        pictures: batches of (k, 27, 48, 3) in order, RGB, 0-255.
        device: where the network runs.

    Raises:
        MissingDependency, AcceleratorBusy: as `look`.
    """
    return cuts_from(probabilities(pictures, device))


def probabilities(pictures: Iterator[Frames], device: Device = "auto") -> Probabilities:
    """Run the network over a video in one pass; memory does not grow with its length but for the result.

    Arguments and errors as `find_transnet_cuts`.
    """
    parts = [nothing()]
    for window, wanted in _windows(pictures):
        counted = slice(MARGIN, MARGIN + wanted)
        boundary, part = look(window, device)
        parts.append(Probabilities(boundary[counted], part[counted], looks_of(window[counted])))
    return joined(parts)


def nothing() -> Probabilities:
    """Give what there is to say of no frames."""
    none = np.zeros(0, np.float32)
    return Probabilities(none, none, np.zeros((0, LOOK_ROWS, LOOK_COLUMNS), np.uint8))


def joined(parts: Sequence[Probabilities]) -> Probabilities:
    """Put what was said of consecutive stretches into one."""
    return Probabilities(*(np.concatenate(rows) for rows in zip(*parts, strict=True)))


def look(frames: Frames, device: Device = "auto") -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give what the network thinks of each of some consecutive frames; those at the ends lack context.

    Args:
        frames: (k, 27, 48, 3), RGB, 0-255.
        device: where the network runs.

    Returns:
        two times (k,), 0 to 1: see Probabilities.

    Raises:
        MissingDependency: there is no such device (permanent).
        AcceleratorBusy: it has no memory left (transient).
    """
    import torch

    module, place, dtype = network(device)
    lowered = torch.autocast(place.type, dtype, enabled=dtype != torch.float32)
    with busy_when_out_of_memory("the device has no memory left to look for shots", SETTING):
        with torch.inference_mode(), lowered:
            # One window at a time: on a CPU larger batches are slower (measured), on a GPU it is quick enough.
            middle, many = module.predict_raw(torch.from_numpy(frames)[None].to(place))
        return middle[0, :, 0].float().cpu().numpy(), many[0, :, 0].float().cpu().numpy()


def cuts_from(given: Probabilities) -> list[Cut]:
    """Turn probabilities into cuts, ascending.

    The new shot of a gradual transition begins in its middle, when the new picture outweighs the old one.
    """
    cuts: list[Cut] = []
    is_part = (given.part > PART_THRESHOLD) | (given.boundary > THRESHOLD_UNLIKE)
    for first, last in _bridged(_runs(is_part), given.looks):
        peak = first + int(given.boundary[first : last + 1].argmax())
        confidence = float(given.boundary[peak])
        if confidence <= _threshold(given.looks, first, last):
            continue
        is_gradual = last - first + 1 > MAX_CUT_FRAMES
        # Both the middle of a transition and the last frame before a cut come just before the new shot.
        frame = ((first + last) // 2 if is_gradual else peak) + 1
        if frame < len(given.boundary):
            cuts.append(Cut(frame, CutKind.GRADUAL if is_gradual else CutKind.CUT, confidence))
    return cuts


def _threshold(looks: NDArray[np.uint8], first: int, last: int) -> float:
    """Ask for less where the pictures before and after are unlike, and for more where they are alike."""
    before = looks[max(0, first - LOOK_AWAY)].astype(np.float64)
    after = looks[min(len(looks) - 1, last + LOOK_AWAY)].astype(np.float64)
    before, after = before - before.mean(), after - after.mean()
    lengths = float(np.linalg.norm(before) * np.linalg.norm(after))
    # Correlation, which more light and more contrast leave as it is; blank pictures are unlike any other.
    likeness = float((before * after).sum()) / lengths if lengths else 0.0
    if likeness < UNLIKE:
        return THRESHOLD_UNLIKE
    return THRESHOLD_ALIKE if likeness > ALIKE else THRESHOLD


def looks_of(frames: Frames) -> NDArray[np.uint8]:
    """Average brightness over a coarse grid."""
    rows, columns = HEIGHT // LOOK_ROWS, WIDTH // LOOK_COLUMNS
    cells = frames.reshape(len(frames), LOOK_ROWS, rows, LOOK_COLUMNS, columns * 3)
    means: NDArray[np.uint8] = cells.mean(axis=(2, 4)).astype(np.uint8)
    return means


def _runs(marked: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """List the runs of marked frames as (first, last)."""
    edges = np.diff(np.concatenate([[0], marked.astype(np.int8), [0]]))
    firsts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(int(first), int(end) - 1) for first, end in zip(firsts, ends, strict=True)]


def _bridged(runs: Sequence[tuple[int, int]], looks: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Join the two halves of a fade; a hard cut close to a transition stays its own."""
    joined: list[tuple[int, int]] = []
    for first, last in runs:
        if joined:
            before_first, before_last = joined[-1]
            are_long = min(last - first, before_last - before_first) >= MAX_CUT_FRAMES
            quiet = looks[before_last + 1 : first]
            is_blank = len(quiet) <= MAX_BLANK_FRAMES and bool((quiet.std(axis=(1, 2)) < BLANK_SPREAD).all())
            if are_long and (len(quiet) <= MAX_QUIET_FRAMES or is_blank):
                joined[-1] = (before_first, last)
                continue
        joined.append((first, last))
    return joined


def _windows(pictures: Iterator[Frames]) -> Iterator[tuple[Frames, int]]:
    """Cut the video into overlapping windows, its ends held still for context: (window, frames that count)."""
    held = np.zeros((0, HEIGHT, WIDTH, 3), np.uint8)
    pending = 0  # frames of the video in `held` that no window has counted yet
    for batch in pictures:
        if not len(batch):
            continue
        if not len(held):
            held = np.repeat(batch[:1], MARGIN, axis=0)
        held = np.concatenate([held, batch])
        pending += len(batch)
        while len(held) >= WINDOW:
            yield held[:WINDOW], KEPT
            held, pending = held[KEPT:], pending - KEPT
    if pending > 0:
        still = np.repeat(held[-1:], WINDOW, axis=0)
        while pending > 0:
            yield np.concatenate([held, still])[:WINDOW], min(KEPT, pending)
            held, pending = held[KEPT:], pending - KEPT
