"""When each picture of a file of ours is shown: exact, from its boxes, without a decoder."""

import struct
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from core.errors import EncoderRejected
from core.values import seconds
from media.boxes import Box, child, children, payload, top_boxes
from media.fragments import samples_of

#: Optional fields of a tfhd box before its default duration, with their sizes (ISO/IEC 14496-12, 8.8.7).
_TFHD_FIELDS: Final = ((0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4), (0x20, 4))
_TFHD_DURATION: Final = 0x8
#: A pause between two pictures is a gap from so many seconds, and so many pictures, on.
_GAP_S, _GAP_FRAMES = 0.5, 8
_EMPTY_EDIT: Final = -1
#: The shortest steps but for this share, which may be jitter, say how fast pictures come.
_FAST_PERCENT: Final = 5
_STEADY: Final = Fraction(11, 10)
_RATE_DIGITS: Final = Decimal("0.001")


def _none() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class FrameTimes:
    """Presentation times of the video track, ascending.

    Attributes:
        pts: (frames,) ticks; seconds are `pts * time_base`.
        last: ticks that the last picture is shown.
        keyframes: numbers of the pictures that decode without another one, ascending; empty where the boxes do not say.
        keyframe_bytes: (keyframes,) how many bytes each of these takes.
    """

    pts: NDArray[np.int64]
    last: int
    time_base: Fraction
    keyframes: NDArray[np.int64] = field(default_factory=_none)
    keyframe_bytes: NDArray[np.int64] = field(default_factory=_none)

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def first(self) -> Fraction:
        """Seconds at which the first picture is shown, on the file's own clock."""
        return int(self.pts[0]) * self.time_base

    @property
    def duration(self) -> Fraction:
        """Seconds from the first picture's beginning to the last one's end."""
        return (int(self.pts[-1]) + self.last - int(self.pts[0])) * self.time_base if len(self) else Fraction(0)

    @property
    def fastest_rate(self) -> Decimal:
        """Pictures per second where they follow one another fastest, to a thousandth; the mean of a steady rate."""
        mean = len(self) / self.duration
        steps = np.diff(self.pts)
        if not len(steps):
            return seconds(mean).quantize(_RATE_DIGITS)
        step = Fraction(int(np.percentile(steps, _FAST_PERCENT, method="nearest"))) * self.time_base
        # Clocks that count milliseconds give a steady rate steps of 33 and 34 of them.
        is_steady = not step or 1 / step < _STEADY * mean
        return seconds(mean if is_steady else 1 / step).quantize(_RATE_DIGITS)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Seconds since the first picture, for arithmetic that need not be exact."""
        offsets: NDArray[np.int64] = self.pts - self.pts[0]
        return offsets.astype(np.float64) * float(self.time_base)

    @cached_property
    def microseconds(self) -> NDArray[np.int64]:
        """Whole microseconds since the first picture, the resolution that scenes are kept in."""
        scaled: NDArray[np.int64] = (self.pts - self.pts[0]) * (1_000_000 * self.time_base.numerator)
        return (scaled + self.time_base.denominator // 2) // self.time_base.denominator

    def at(self, index: int) -> Fraction:
        """Exact seconds since the first picture at which picture `index` begins."""
        return (int(self.pts[index]) - int(self.pts[0])) * self.time_base


def gap_s(frame_rate: Fraction) -> float:
    """Give the seconds from which on a pause between two pictures is a gap."""
    return max(_GAP_S, _GAP_FRAMES / float(frame_rate))


def frame_times(path: Path) -> FrameTimes:
    """Read when each picture of the video track is shown.

    Raises:
        EncoderRejected: no MP4 with a video track (permanent).
    """
    with path.open("rb") as file:
        top = top_boxes(file)
        moov = next((b for b in top if b.kind == "moov"), None)
        track = _video_track(file, moov) if moov else None
        if moov is None or track is None:
            raise EncoderRejected(f"{path.name} has no video track")
        scale = _time_scale(file, track)
        fragments = [b for b in top if b.kind == "moof"]
        sizes = _none()
        if fragments:
            starts, durations = _fragmented(file, moov, fragments, _track_id(file, track))
        else:
            starts, durations = _tabled(file, track)
            sizes = _sync_sizes(file, track, len(starts))
        if not len(starts):
            raise EncoderRejected(f"{path.name} has no pictures")
        starts = starts + _edit_shift(file, moov, track, scale)
    order = np.argsort(starts, kind="stable")
    keys = np.flatnonzero(sizes[order]) if len(sizes) else sizes
    key_bytes = sizes[order][keys] if len(sizes) else sizes
    # A picture that lasts no time at all cannot be part of a scene.
    return FrameTimes(starts[order], max(1, int(durations[order[-1]])), Fraction(1, scale), keys, key_bytes)


@dataclass(frozen=True)
class Fragment:
    """One moof with its mdat: bytes [start, end), and when its first sample is shown, in seconds."""

    start: int
    end: int
    start_s: Fraction
    duration_s: Fraction


def fragments_of(path: Path) -> tuple[Fragment, ...]:
    """List the fragments of a file with one track; each lasts until the next one begins.

    Raises:
        EncoderRejected: no fragmented MP4 (permanent).
    """
    with path.open("rb") as file:
        top = top_boxes(file)
        moov = next((b for b in top if b.kind == "moov"), None)
        track = child(file, moov, "trak") if moov else None
        if moov is None or track is None:
            raise EncoderRejected(f"{path.name} has no track")
        scale, identity = _time_scale(file, track), _track_id(file, track)
        rows = []
        for box, after in pairwise(top):
            if box.kind == "moof":
                starts, durations = _fragment(file, moov, box, identity)
                rows.append((box.start, after.end, int(starts.min()), int((starts + durations).max())))
    nexts = [row[2] for row in rows[1:]] + [rows[-1][3]] if rows else []
    return tuple(
        Fragment(start, end, Fraction(shown, scale), Fraction(until - shown, scale))
        for (start, end, shown, _), until in zip(rows, nexts, strict=True)
    )


def picture_size(path: Path) -> tuple[int, int]:
    """Read width and height of a file of ours: square pixels, not rotated.

    Raises:
        EncoderRejected: no MP4 with a video track (permanent).
    """
    with path.open("rb") as file:
        moov = next((b for b in top_boxes(file) if b.kind == "moov"), None)
        track = _video_track(file, moov) if moov else None
        if track is None:
            raise EncoderRejected(f"{path.name} has no video track")
        _, body = _need(_full_box(file, track, "tkhd"), "tkhd")
    # The last two fields, 16.16 fixed point.
    width, height = struct.unpack(">II", body[-8:])
    return width >> 16, height >> 16


def _video_track(file: BinaryIO, moov: Box) -> Box | None:
    for track in children(file, moov, "trak"):
        handler = child(file, track, "mdia", "hdlr")
        if handler and payload(file, handler)[8:12] == b"vide":
            return track
    return None


def _full_box(file: BinaryIO, parent: Box, *path: str) -> tuple[int, bytes] | None:
    """Give version and content after the flags of a box, None where it is missing."""
    box = child(file, parent, *path)
    if box is None:
        return None
    content = payload(file, box)
    return content[0], content[4:]


def _need(found: tuple[int, bytes] | None, kind: str) -> tuple[int, bytes]:
    if found is None:
        raise EncoderRejected(f"the video track has no {kind} box")
    return found


def _time_scale(file: BinaryIO, track: Box) -> int:
    version, body = _need(_full_box(file, track, "mdia", "mdhd"), "mdhd")
    return int(struct.unpack_from(">I", body, 16 if version else 8)[0])


def _track_id(file: BinaryIO, track: Box) -> int:
    version, body = _need(_full_box(file, track, "tkhd"), "tkhd")
    return int(struct.unpack_from(">I", body, 16 if version else 8)[0])


def _tabled(file: BinaryIO, track: Box) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    _, body = _need(_full_box(file, track, "mdia", "minf", "stbl", "stts"), "stts")
    runs = np.frombuffer(body, ">u4", offset=4).reshape(-1, 2).astype(np.int64)
    durations = np.repeat(runs[:, 1], runs[:, 0])
    starts = np.cumsum(durations) - durations
    offsets = _full_box(file, track, "mdia", "minf", "stbl", "ctts")
    if offsets:
        rows = np.frombuffer(offsets[1], ">u4", offset=4).reshape(-1, 2)
        shifts = np.frombuffer(offsets[1], ">i4", offset=4).reshape(-1, 2)[:, 1].astype(np.int64)
        starts = starts + np.repeat(shifts, rows[:, 0].astype(np.int64))
    return starts, durations


def _sync_sizes(file: BinaryIO, track: Box, samples: int) -> NDArray[np.int64]:
    """Give the bytes of each sample that decodes alone, 0 for the others, in the order of the file."""
    _, body = _need(_full_box(file, track, "mdia", "minf", "stbl", "stsz"), "stsz")
    each = struct.unpack_from(">I", body)[0]
    sizes = np.full(samples, each) if each else np.frombuffer(body, ">u4", offset=8).astype(np.int64)
    found = _full_box(file, track, "mdia", "minf", "stbl", "stss")
    if found:  # where it is missing, all of them do
        others = np.ones(samples, bool)
        others[np.frombuffer(found[1], ">u4", offset=4).astype(np.int64) - 1] = False
        sizes[others] = 0
    return sizes


def _edit_shift(file: BinaryIO, moov: Box, track: Box, scale: int) -> int:
    """Ticks by which the edit list moves the track: an empty edit delays it, a media time cuts its head."""
    found = _full_box(file, track, "edts", "elst")
    if not found:
        return 0
    version, body = found
    layout = struct.Struct(">Qqhh" if version else ">Iihh")
    movie_version, movie = _need(_full_box(file, moov, "mvhd"), "mvhd")
    movie_scale = int(struct.unpack_from(">I", movie, 16 if movie_version else 8)[0])
    shift = 0
    for index in range(struct.unpack_from(">I", body)[0]):
        length, media_time, _, _ = layout.unpack_from(body, 4 + index * layout.size)
        if media_time != _EMPTY_EDIT:
            return shift - int(media_time)
        shift += round(Fraction(length * scale, movie_scale))
    return shift


def _fragmented(
    file: BinaryIO, moov: Box, fragments: list[Box], track_id: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    runs = [_fragment(file, moov, fragment, track_id) for fragment in fragments]
    none = np.zeros(0, np.int64)
    return np.concatenate([none, *(starts for starts, _ in runs)]), np.concatenate([none, *(d for _, d in runs)])


def _fragment(file: BinaryIO, moov: Box, fragment: Box, track_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give presentation times and durations of one track's samples in one fragment, in ticks."""
    starts: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    durations: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    for traf in children(file, fragment, "traf"):
        header = payload(file, _need_box(child(file, traf, "tfhd"), "tfhd"))
        if struct.unpack_from(">I", header, 4)[0] != track_id:
            continue
        version, body = _need(_full_box(file, traf, "tfdt"), "tfdt")
        time = int(struct.unpack_from(">Q" if version else ">I", body)[0])
        for run in children(file, traf, "trun"):
            default = _fragment_duration(header, _default_duration(file, moov, track_id))
            samples = samples_of(payload(file, run), default)
            starts.append(time + np.cumsum(samples.durations) - samples.durations + samples.shifts)
            durations.append(samples.durations)
            time += int(samples.durations.sum())
    return np.concatenate(starts), np.concatenate(durations)


def _need_box(box: Box | None, kind: str) -> Box:
    if box is None:
        raise EncoderRejected(f"a fragment has no {kind} box")
    return box


def _default_duration(file: BinaryIO, moov: Box, track_id: int) -> int:
    extends = child(file, moov, "mvex")
    for box in children(file, extends, "trex") if extends else []:
        identity, _, duration = struct.unpack_from(">III", payload(file, box), 4)
        if identity == track_id:
            return int(duration)
    return 0


def _fragment_duration(header: bytes, default: int) -> int:
    flags = struct.unpack_from(">I", header)[0] & 0xFFFFFF
    at = 8
    for flag, size in _TFHD_FIELDS:
        if flags & flag:
            if flag == _TFHD_DURATION:
                return int(struct.unpack_from(">I", header, at)[0])
            at += size
    return default
