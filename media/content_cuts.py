"""Hard cuts by the change in colour and brightness from one picture to the next (PySceneDetect)."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Final

from core.values import CutKind
from media.cuts import Cut
from media.frames import Frames
from media.timing import FrameTimes

#: Mean change per pixel, of 255, in hue, saturation and brightness; PySceneDetect's own default.
THRESHOLD: Final = 27.0
#: Cuts closer than this are one event: a flash goes there and back. PySceneDetect's default at 25 frames/s.
MIN_SHOT_S: Final = 0.6


def find_content_cuts(pictures: Iterator[Frames], times: FrameTimes) -> Sequence[Cut]:
    """Find hard cuts.

    Args:
        pictures: batches of (k, height, width, 3) in order, BGR, 0-255.
    """
    from scenedetect.common import FrameTimecode, Timecode

    detector = _scoring_detector()
    rate = Fraction(len(times) - 1, 1) / (times.duration or 1) if len(times) > 1 else Fraction(25)
    number_of = {int(pts): number for number, pts in enumerate(times.pts)}
    scores: dict[int, float] = {}
    found: list[Any] = []
    frame = 0
    for batch in pictures:
        for picture in batch:
            # Exact times, not frame count by frame rate: right for variable frame rates as well.
            clock = Timecode(int(times.pts[frame] - times.pts[0]), times.time_base)
            found += detector.process_frame(FrameTimecode(clock, fps=rate), picture)
            if detector.score >= THRESHOLD:
                scores[frame] = detector.score
            frame += 1
    numbers = sorted({number_of[int(cut.pts + times.pts[0])] for cut in found})
    return [Cut(n, CutKind.CUT, _confidence(scores.get(n, THRESHOLD))) for n in numbers if n > 0]


def _scoring_detector() -> Any:
    from scenedetect.detectors import ContentDetector

    class Scoring(ContentDetector):  # type: ignore[misc]  # the library has no types
        """Also says how large the last change was."""

        @property
        def score(self) -> float:
            return float(self._frame_score or 0.0)

    return Scoring(threshold=THRESHOLD, min_scene_len=MIN_SHOT_S)


def _confidence(score: float) -> float:
    """Half at the threshold, full at twice that."""
    return min(1.0, score / (2 * THRESHOLD))
