"""Where shots begin and end, found on the analysis proxy."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

from core.errors import EncoderRejected, MissingDependency
from core.settings import ShotSettings
from core.values import CutKind, Shot, seconds
from media import transnet
from media.content_cuts import find_content_cuts
from media.cuts import Cut
from media.frames import Frames, all_frames
from media.timing import FrameTimes, frame_times
from media.tools import Tools
from media.transnet import find_transnet_cuts

#: Gives cuts, ascending, from the pictures (in batches, in order) and their times.
Detector = Callable[[Iterator[Frames], FrameTimes], Sequence[Cut]]


@dataclass(frozen=True)
class DetectorRecipe:
    """A detector and the pictures it wants to see."""

    find: Detector
    width: int
    height: int
    pixel_format: str


#: Detectors by the name of their setting. 64 x 36 pixels give the same cuts as full frames (docs/adr).
DETECTORS: Final[dict[str, DetectorRecipe]] = {
    "content": DetectorRecipe(find_content_cuts, 64, 36, "bgr24"),
    "transnet": DetectorRecipe(find_transnet_cuts, transnet.WIDTH, transnet.HEIGHT, "rgb24"),
}


def detect_shots(proxy: Path, settings: ShotSettings, tools: Tools) -> tuple[Shot, ...]:
    """Find the shots of a video; they cover it from zero to its end without gap or overlap.

    Raises:
        EncoderRejected: the proxy cannot be decoded (permanent).
        MissingDependency: no such detector (permanent).
    """
    recipe = DETECTORS.get(settings.detector)
    if recipe is None:
        known = ", ".join(sorted(DETECTORS))
        raise MissingDependency(
            f"there is no shot detector {settings.detector!r}: set DAILIES_SHOTS__DETECTOR to {known}"
        )
    times = frame_times(proxy)
    pictures = all_frames(proxy, recipe.width, recipe.height, tools, pixel_format=recipe.pixel_format)
    return shots_from_cuts(recipe.find(_counted(pictures, times, proxy), times), times)


def shots_from_cuts(cuts: Sequence[Cut], times: FrameTimes) -> tuple[Shot, ...]:
    """Turn cuts into shots, half-open [start, end), exact to the microsecond."""
    starts = [Cut(0, CutKind.START, 1.0)]
    for cut in cuts:
        if starts[-1].frame < cut.frame < len(times):
            starts.append(cut)
    ends = [times.at(cut.frame) for cut in starts[1:]] + [Fraction(times.duration)]
    return tuple(
        Shot(start_s=seconds(times.at(cut.frame)), end_s=seconds(end), kind=cut.kind, confidence=cut.confidence)
        for cut, end in zip(starts, ends, strict=True)
    )


def _counted(pictures: Iterator[Frames], times: FrameTimes, proxy: Path) -> Iterator[Frames]:
    """Pass pictures on, and make sure that each of them has its time."""
    seen = 0
    for batch in pictures:
        seen += len(batch)
        if seen > len(times):
            break
        yield batch
    if seen != len(times):
        raise EncoderRejected(f"{proxy.name} holds {len(times)} pictures, but {seen} were decoded")
