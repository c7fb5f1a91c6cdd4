"""Where GOPs are long: a chunk that begins within one is decoded from far before it, for nothing."""

import math
from collections.abc import Iterable
from fractions import Fraction
from heapq import heappush, heappushpop
from itertools import pairwise
from pathlib import Path
from typing import Final

from core.settings import LimitSettings
from core.values import MediaFacts, Seconds, seconds
from media import probe
from media.tools import Tools

#: Seconds of a GOP that is worth a thought: encoders left to themselves set a keyframe every 250 pictures.
LONG_S: Final = 12
#: Seconds behind a keyframe from which on every demuxer that is asked for the one before a chunk finds it: half a
#: second of our own lead (media/seeking.py), and an eighth that ffmpeg takes off where pictures are reordered.
BEHIND_S: Final = 1
#: GOPs that are remembered, the longest; and times of a source for which an index is asked.
_MOST: Final = 240
#: Seconds between those times; in sources of more than 40 minutes whole minutes, at which chunks begin by default.
_STEP_S, _LONG_STEP_S = 10, 60
#: Seconds of a source up to which that is not worth the while, however it is cut.
_CHEAP_S: Final = 30

Span = tuple[Fraction, Fraction]


class LongGops:
    """The longest GOPs of a stream whose packets pass by, from each one's keyframe to the next; source clock."""

    def __init__(self) -> None:
        self._longest: list[tuple[Fraction, Span]] = []
        self._key: Fraction | None = None
        self._end: Fraction | None = None

    def see(self, packet: probe.Packet) -> None:
        """Take the next packet, in stored order."""
        if packet.pts_s is None or packet.end_s is None:
            return
        if self._key is None or packet.is_key:
            self._take(packet.pts_s)
            self._key = packet.pts_s
        self._end = packet.end_s if self._end is None else max(self._end, packet.end_s)

    def found(self) -> tuple[Span, ...]:
        """Give those up to here, ascending."""
        if self._end is not None:
            self._take(self._end)
        return tuple(sorted(span for _, span in self._longest))

    def _take(self, end: Fraction) -> None:
        if self._key is not None and end - self._key > LONG_S:
            # A hostile file may hold any number.
            push = heappush if len(self._longest) < _MOST else heappushpop
            push(self._longest, (end - self._key, (self._key, end)))


def in_media_time(spans: Iterable[Span], start_s: Fraction) -> tuple[tuple[Seconds, Seconds], ...]:
    """Give spans of the source's clock as facts keep them."""
    return tuple((max(seconds(0), seconds(a - start_s)), seconds(b - start_s)) for a, b in spans)


def long_gops(
    facts: MediaFacts, path: Path, tools: Tools, limits: LimitSettings
) -> tuple[tuple[Seconds, Seconds], ...]:
    """Find the long GOPs of a source by its index; none are found where it cannot be asked.

    Reading every packet would tell all, and would read gigabytes. So the demuxer is asked, in two processes, from
    where it would read for chunks that begin at up to 240 times: as cheap as opening the file. What lies between
    those times is not known. A GOP that ends there is taken to end at the next keyframe that was seen, which makes
    chunks longer than need be; one that begins and ends there is not seen, and costs a chunk that begins in it a
    step at most: ten seconds, or a minute in sources of more than 40.

    Raises:
        MediaError: what media.launcher.run raises.
    """
    length, start = Fraction(facts.duration_s), Fraction(facts.start_s)
    if not facts.is_cuttable or length <= _CHEAP_S:
        return ()
    step = _step(length)
    begins = [start + begin for begin in range(step, math.ceil(length), step)]
    # The last one alone: without an index, each time behind the last keyframe has all that follows it read again.
    last = next(iter(_keyframes(begins[-1:], path, tools, limits)), None)
    if last is None:
        return ()
    before = [begin for begin in begins if begin - BEHIND_S < last]
    keys = _keyframes(before, path, tools, limits) if before else []
    if len(keys) != len(before):  # it cannot be said which is whose
        return ()
    # The last time at which the demuxer still goes back to that keyframe.
    reached = dict(zip(keys, before, strict=True)) | {last: begins[-1]}
    ends = pairwise([*reached, start + length])
    return in_media_time([(key, end) for key, end in ends if reached[key] - key > LONG_S], start)


def _keyframes(begins_s: Iterable[Fraction], path: Path, tools: Tools, limits: LimitSettings) -> list[Fraction]:
    """Give the keyframe from which each of some chunks would be decoded; fewer where some cannot be told."""
    times = [begin - BEHIND_S for begin in begins_s]
    packets = probe.read_packets(path, tools, limits, first_at_s=times, streams="V:0")
    stored = (p.pts_s if p.pts_s is not None else p.dts_s for p in packets)
    return [time for time in stored if time is not None]


def _step(length: Fraction) -> int:
    if length <= _MOST * _STEP_S:
        return _STEP_S
    return math.ceil(length / (_MOST * _LONG_STEP_S)) * _LONG_STEP_S
