"""What the packets say, undecoded, where the header is silent or cannot be believed."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from core.errors import InvalidMedia
from core.settings import LimitSettings
from media import probe
from media.gops import LongGops, Span
from media.tools import Tools

#: Seconds from which on a step of the clock is a break of it, as ffmpeg has it (-dts_delta_threshold).
LEAP_S: Final = 10
#: Demuxers without an index, whose clock may break at any packet: a last picture far behind all others was not meant
#: to be there.
SCANNED: Final = frozenset({"mpegts", "mpeg"})
#: Those, and others whose index, if there is one, says nothing of a clock that starts again.
UNINDEXED: Final = SCANNED | {"flv", "ogg", "asf"}
#: Containers that recorders write piece by piece, and that may begin anew within one file.
APPENDED: Final = frozenset({"matroska,webm"})
#: Damaged times of a source that are mended, each for itself; what more there are, stay as they are.
_MOST_WILD: Final = 16
#: Seconds from a first picture to the next that are no pause: ffmpeg takes a clock below a damaged first time for one
#: that has wrapped, and adds what it wraps at: 26.5 hours in a transport stream, 49.7 days in FLV.
_WRAPPED_S: Final = 3_600
#: Packets that a picture may come in: its two fields.
_PACKETS_EACH: Final = 2
#: Steps back in time beyond this are a restarted clock; smaller ones are jitter of a single picture.
RESTART_S: Final = 0.5


def measured(header: probe.Header, path: Path, tools: Tools, limits: LimitSettings) -> probe.Header:
    """Put what the packets of the video stream say in the place of what the header says of length and pictures.

    A step of the clock by more than a video may last, on or back, is a leap and no pause: length goes on behind it.

    Raises:
        InvalidMedia: too_many_frames, counted (permanent).
    """
    first: Fraction | None = None
    end: Fraction | None = None
    leapt_s, leaps = Fraction(0), False
    longest_s = Fraction(limits.max_duration.total_seconds())
    count = 0
    with closing(probe.read_packets(path, tools, limits, streams="V:0")) as packets:
        for packet, is_wild in with_leaps(_counted(packets, limits), header.container):
            count += 1
            if count > limits.max_frames:
                raise InvalidMedia("too_many_frames")
            if packet.pts_s is not None and packet.end_s is not None and not is_wild:
                if end is not None and abs(packet.pts_s - leapt_s - end) > longest_s:
                    leapt_s, leaps = packet.pts_s - end, True
                first = packet.pts_s - leapt_s if first is None else min(first, packet.pts_s - leapt_s)
                end = packet.end_s - leapt_s if end is None else max(end, packet.end_s - leapt_s)
    length = None if first is None or end is None else end - first
    streams = tuple(
        replace(s, duration_s=length, frames=count or None) if s is header.video else s for s in header.streams
    )
    return replace(header, duration_s=length, streams=streams, is_measured=True, clock_leaps=leaps)


def _counted(packets: Iterable[probe.Packet], limits: LimitSettings) -> Iterator[probe.Packet]:
    """Give packets on, no more than a video may have: of a hostile file they may be any number."""
    for count, packet in enumerate(packets, start=1):
        if count > _PACKETS_EACH * limits.max_frames:
            raise InvalidMedia("too_many_frames")
        yield packet


def promised_times(packets: Generator[probe.Packet], limits: LimitSettings) -> list[Fraction]:
    """Give the times at which packets promise a picture, ascending, each once.

    Raises:
        InvalidMedia: too_many_frames, counted (permanent).
    """
    times: set[Fraction] = set()
    with closing(packets):
        for packet in _counted(packets, limits):
            if packet.pts_s is not None:
                times.add(packet.pts_s)
    return sorted(times)


def with_leaps(packets: Iterable[probe.Packet], container: str) -> Iterator[tuple[probe.Packet, bool]]:
    """Give the packets of one stream in file order, each with whether its time is wild.

    Wild is a time far beyond that of both neighbours: a damaged one, which says nothing about the video's length. A
    damaged first time may look like one hours before all others.
    """
    before: Fraction | None = None
    waiting: probe.Packet | None = None
    for packet in packets:
        if waiting is not None:
            is_wild = (before is None or _leaps(before, waiting.pts_s)) and _leaps(packet.pts_s, waiting.pts_s)
            is_wild |= before is None and container in UNINDEXED and _leaps(waiting.pts_s, packet.pts_s, _WRAPPED_S)
            before = before if is_wild or waiting.pts_s is None else waiting.pts_s
            yield waiting, is_wild
        waiting = packet
    if waiting is not None:
        yield waiting, container in SCANNED and _leaps(before, waiting.pts_s)


@dataclass(frozen=True)
class Clock:
    """How the times of the pictures go on from the first to the last."""

    #: It steps back somewhere: two recordings in one file, for one.
    starts_again: bool
    #: Times of single pictures that are damaged, seconds on the source's clock; none are told where it starts again.
    wild_times_s: tuple[Fraction, ...] = ()
    #: The earliest time that is not damaged; None where it starts again, or nobody read it.
    first_s: Fraction | None = None
    #: The longest GOPs, on the same clock; none are told where it starts again.
    long_gops_s: tuple[Span, ...] = ()

    @property
    def is_steady(self) -> bool:
        """Whether pictures may be found by their times."""
        return not self.starts_again and not self.wild_times_s


def clock_of(path: Path, tools: Tools, limits: LimitSettings, container: str) -> Clock:
    """Read the times of all pictures, undecoded; of containers that may begin anew, those of keyframes alone count.

    Raises:
        InvalidMedia: too_many_frames, counted (permanent).
        MediaError: what media.launcher.run raises.
    """
    before: Fraction | None = None
    first: Fraction | None = None
    wild: list[Fraction] = []
    gops = LongGops()
    with closing(probe.read_packets(path, tools, limits, streams="V:0")) as packets:
        for packet, is_wild in with_leaps(_counted(packets, limits), container):
            if is_wild and packet.pts_s is not None and len(wild) < _MOST_WILD:
                wild.append(packet.pts_s)
            # Stored order, which only ever ascends: pictures are stored before others that are shown earlier.
            stored = packet.dts_s if packet.dts_s is not None else packet.pts_s
            if container in APPENDED:  # it keeps when pictures are shown, which of keyframes alone is the stored order
                stored = packet.pts_s if packet.is_key else None
            if is_wild:
                continue
            gops.see(packet)
            if stored is None:
                continue
            if before is not None and stored < before - Fraction(RESTART_S):
                return Clock(starts_again=True)
            before = stored
            if packet.pts_s is not None:
                first = packet.pts_s if first is None else min(first, packet.pts_s)
    return Clock(starts_again=False, wild_times_s=tuple(wild), first_s=first, long_gops_s=gops.found())


def _leaps(start_s: Fraction | None, end_s: Fraction | None, by_s: int = LEAP_S) -> bool:
    return start_s is not None and end_s is not None and end_s > start_s + by_s
