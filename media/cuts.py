"""What every shot detector gives."""

from typing import NamedTuple

from core.values import CutKind


class Cut(NamedTuple):
    """The first frame of a new shot."""

    #: Number of the frame, 0 is the video's first.
    frame: int
    kind: CutKind
    #: 0 to 1: how sure the detector is.
    confidence: float
