"""Cuts without a network: at 48 x 27 pixels, thousands of frames a second."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.values import CutKind
from media.changes import REACH, Evidence, blocks, evidence
from media.cuts import Cut
from media.frames import Frames

#: Odds from which something is called a cut, or a gradual transition.
CUT_THRESHOLD, GRADUAL_THRESHOLD = 0.5, 0.4
#: Frames before and after a hard cut that see the same change, and frames that a transition reaches to each side.
CUT_REACH: Final = 4
GRADUAL_REACH: Final = 12


def find_fast_cuts(pictures: Iterator[Frames]) -> Sequence[Cut]:
    """Find hard cuts and gradual transitions by the change of the picture.

    Args:
        pictures: batches of (k, 27, 48, 3) in order, 0-255.
    """
    parts = [Evidence(np.zeros(0, np.float32), np.zeros(0, np.float32))]
    for block in blocks(pictures, REACH):
        found = evidence(block.frames)
        parts.append(Evidence(*(odds[block.first : block.end] for odds in found)))
    return cuts_by_evidence(Evidence(*(np.concatenate(odds) for odds in zip(*parts, strict=True))))


def cuts_by_evidence(odds: Evidence) -> list[Cut]:
    """Turn the evidence of a whole video into cuts, ascending; a transition around a hard cut is that cut."""
    hard = peaks(odds.cut, CUT_THRESHOLD, CUT_REACH)
    slow = [
        frame
        for frame in peaks(odds.gradual, GRADUAL_THRESHOLD, GRADUAL_REACH)
        if not is_near(frame, hard, GRADUAL_REACH)
    ]
    cuts = [Cut(frame, CutKind.CUT, float(odds.cut[frame])) for frame in hard]
    return sorted(cuts + [Cut(frame, CutKind.GRADUAL, float(odds.gradual[frame])) for frame in slow])


def is_near(frame: int, others: Sequence[int], reach: int) -> bool:
    """Whether any of the other frames, ascending, is within reach."""
    place = bisect_left(others, frame - reach)
    return place < len(others) and others[place] <= frame + reach


def peaks(odds: NDArray[np.float32], threshold: float, reach: int) -> list[int]:
    """List the frames with the highest odds within reach of them, the first of equals; never the first frame."""
    found: list[int] = []
    for frame in np.flatnonzero(odds > threshold):
        highest = odds[max(0, frame - reach) : frame + reach + 1].max()
        if frame and odds[frame] == highest and (not found or frame - found[-1] > reach):
            found.append(int(frame))
    return found
