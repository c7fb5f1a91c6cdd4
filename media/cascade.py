"""Cuts by two looks: a quick one at every frame, and TransNetV2's only where the quick one is in doubt.

Most frames of most films are no boundary beyond doubt, and most boundaries are hard cuts beyond doubt. The network
sees the rest, and what it says is settled as when it sees everything (media/transnet.py).
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.values import CutKind
from media import transnet
from media.changes import Block, Evidence, blocks, evidence
from media.cuts import Cut
from media.fast_cuts import CUT_REACH, GRADUAL_REACH, is_near, peaks
from media.frames import Frames
from media.transnet import Probabilities
from media.transnet_network import Device

#: Odds of a hard cut from which the network is asked, and from which it no longer need be.
CUT_DOUBT, CUT_SURE = 0.02, 0.97
#: Odds of a gradual transition from which the network is asked, and from which there is one whatever it says.
GRADUAL_DOUBT, GRADUAL_SURE = 0.03, 0.9
#: Frames before and after a doubt that the network's answer is kept for.
SPAN: Final = GRADUAL_REACH
#: Frames around a block: what its last doubt depends on, and the context the network needs.
_MARGIN: Final = 64


class BothLooks(NamedTuple):
    """What both looks say of a video."""

    #: The network's probabilities where it was asked, elsewhere those the quick look is sure of.
    settled: Probabilities
    #: (frames,): the quick look's odds of a gradual transition.
    gradual: NDArray[np.float32]


def find_cascade_cuts(pictures: Iterator[Frames], device: Device = "auto") -> Sequence[Cut]:
    """Find hard cuts and gradual transitions; arguments and errors as `transnet.find_transnet_cuts`."""
    looks = both_looks(pictures, device)
    cuts = transnet.cuts_from(looks.settled)
    known = [cut.frame for cut in cuts]
    # The network passes over a gentle dissolve now and then that leaves no doubt to the quick look.
    missed = [
        Cut(frame, CutKind.GRADUAL, float(looks.gradual[frame]))
        for frame in peaks(looks.gradual, GRADUAL_SURE, GRADUAL_REACH)
        if not is_near(frame, known, GRADUAL_REACH)
    ]
    return sorted(cuts + missed)


def both_looks(pictures: Iterator[Frames], device: Device = "auto") -> BothLooks:
    """Look at every frame quickly, and ask the network about the doubtful ones.

    Memory does not grow with the video's length but for the result. Arguments and errors as `find_cascade_cuts`.
    """
    settled, gradual = [transnet.nothing()], [np.zeros(0, np.float32)]
    for block in blocks(pictures, _MARGIN):
        odds = evidence(block.frames)
        counted = slice(block.first, block.end)
        settled.append(_settled(block, odds, device).within(counted))
        gradual.append(odds.gradual[counted])
    return BothLooks(transnet.joined(settled), np.concatenate(gradual))


def asked_spans(block: Block, odds: Evidence) -> list[tuple[int, int]]:
    """Give the frames [first, end) of a block that the network is asked about, those of its margins included."""
    hard = peaks(odds.cut, CUT_DOUBT, CUT_REACH)
    sure = [frame for frame in hard if odds.cut[frame] >= CUT_SURE]
    # A sure cut explains the change around it.
    slow = [
        frame for frame in peaks(odds.gradual, GRADUAL_DOUBT, GRADUAL_REACH) if not is_near(frame, sure, GRADUAL_REACH)
    ]
    spans: list[tuple[int, int]] = []
    for frame in sorted({*hard, *slow}.difference(sure)):
        first, end = max(0, frame - SPAN), min(len(block.frames), frame + SPAN)
        if end <= block.first or first >= block.end:
            continue
        # Joined where together they cost the network less than apart.
        if spans and first - spans[-1][1] < 2 * transnet.MARGIN:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((first, end))
    # What the network sees at once is bounded, however much is in doubt.
    return [
        (piece, min(end, piece + transnet.KEPT)) for first, end in spans for piece in range(first, end, transnet.KEPT)
    ]


def _settled(block: Block, odds: Evidence, device: Device) -> Probabilities:
    count = len(block.frames)
    boundary, part = np.zeros(count, np.float32), np.zeros(count, np.float32)
    for frame in peaks(odds.cut, CUT_SURE, CUT_REACH):
        # The network marks the last frame of the old shot.
        boundary[frame - 1] = part[frame - 1] = odds.cut[frame]
    # Where it is asked the network has the last word on sure cuts too: standing by them finds no more (measured on
    # compositions of the development half: F1 the same or lower).
    for first, end in asked_spans(block, odds):
        low, high = max(0, first - transnet.MARGIN), min(count, end + transnet.MARGIN)
        answer = transnet.look(block.frames[low:high], device)
        boundary[first:end], part[first:end] = (rows[first - low : end - low] for rows in answer)
    return Probabilities(boundary, part, transnet.looks_of(block.frames))
