"""Where shots begin and end, found on the analysis proxy."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

from core.errors import EncoderRejected, MissingDependency
from core.settings import ShotSettings
from core.values import CutKind, Shot, seconds
from media.cascade import find_cascade_cuts
from media.cuts import HEIGHT, WIDTH, Cut
from media.fast_cuts import find_fast_cuts
from media.frames import Frames, all_frames
from media.timing import FrameTimes, frame_times
from media.tools import Tools
from media.transnet import find_transnet_cuts
from media.transnet_network import Device

#: Gives cuts, ascending, from the pictures of a video: batches of (k, 27, 48, 3) in order, RGB, 0-255; a network runs
#: on the device.
Detector = Callable[[Iterator[Frames], Device], Sequence[Cut]]

#: Detectors by the name of their setting.
DETECTORS: Final[dict[str, Detector]] = {
    "fast": lambda pictures, _device: find_fast_cuts(pictures),
    "cascade": find_cascade_cuts,
    "transnet": find_transnet_cuts,
}


def detect_shots(proxy: Path, settings: ShotSettings, tools: Tools) -> tuple[Shot, ...]:
    """Find the shots of a video; they cover it from zero to its end without gap or overlap.

    Raises:
        EncoderRejected: the proxy cannot be decoded (permanent).
        MissingDependency: no such detector, or device (permanent).
        AcceleratorBusy: no memory left on the device (transient).
    """
    find = DETECTORS.get(settings.detector)
    if find is None:
        known = ", ".join(sorted(DETECTORS))
        raise MissingDependency(
            f"there is no shot detector {settings.detector!r}: set DAILIES_SHOTS__DETECTOR to {known}"
        )
    times = frame_times(proxy)
    pictures = all_frames(proxy, WIDTH, HEIGHT, tools)
    return shots_from_cuts(find(_counted(pictures, times, proxy), settings.device), times)


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
