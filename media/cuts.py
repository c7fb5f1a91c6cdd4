"""What every shot detector is given, and what it gives."""

from typing import Final, NamedTuple

from core.values import CutKind

#: The pictures every detector looks at: those TransNetV2 was trained on; larger ones find no more (benchmarks/shots.py).
WIDTH: Final = 48
HEIGHT: Final = 27


class Cut(NamedTuple):
    """The first frame of a new shot."""

    #: Number of the frame, 0 is the video's first.
    frame: int
    kind: CutKind
    #: 0 to 1: how sure the detector is.
    confidence: float
