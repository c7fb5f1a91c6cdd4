"""Where the decoding of a chunk begins, and which pictures it should give: by the packets alone, undecoded."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from core.errors import EncoderRejected
from core.settings import LimitSettings
from media import probe
from media.measuring import SCANNED, promised_times
from media.timing import FrameTimes, gap_s
from media.tools import Tools

#: Seconds before a chunk at which demuxers are asked that find the keyframe before it themselves.
_LEAD_S: Final = Fraction(1, 2)
#: Seconds whose packets are listed for a keyframe, tried in turn; then everything from the beginning.
_LOOKS_S: Final = (Fraction(4), Fraction(64))
#: Less than one picture: what is asked for before a keyframe is not that keyframe.
_JUST_S: Final = Fraction(1, 1000)
#: Seconds by which pictures may be stored behind others that are shown later.
_REORDER_S: Final = 1


class Seeker:
    """Reads one source's packets to find where a chunk can be decoded from."""

    def __init__(self, source: Path, container: str, tools: Tools, limits: LimitSettings) -> None:
        self._source = source
        self._is_scanned = container in SCANNED
        self._tools = tools
        self._limits = limits

    def starts(self, begin_s: Fraction) -> Iterator[Fraction | None]:
        """Give where to start so that pictures from `begin_s` on (source clock) can be decoded, in turn.

        First at the last keyframe before it, then, as that one may be damaged, at the one before; None stands for
        the source's beginning.
        """
        if not self._is_scanned:
            yield begin_s - _LEAD_S
            key = self._keyframe(begin_s - _LEAD_S)
            if key is not None:
                yield _stored(key) - _JUST_S
            return
        key = self._keyframe(begin_s)
        yield None if key is None else _stored(key)
        if key is not None and key.pts_s is not None:
            before = self._keyframe(key.pts_s - _JUST_S)
            if before is not None:
                yield _stored(before)

    def pictures(self, begin_s: Fraction, end_s: Fraction | None) -> tuple[Fraction, ...]:
        """Give the times in [begin_s, end_s) at which packets promise a picture, ascending.

        There are none where packets do not tell.

        Raises:
            InvalidMedia: too_many_frames, counted (permanent).
        """
        until = None if end_s is None else end_s + _REORDER_S
        times = promised_times(self._read(begin_s - _REORDER_S, until), self._limits)
        return tuple(t for t in times if begin_s <= t and (end_s is None or t < end_s))

    def _keyframe(self, until_s: Fraction) -> probe.Packet | None:
        for look in (*_LOOKS_S, None):
            begin = None if look is None else until_s - look
            packets = self._read(begin, until_s + _REORDER_S)
            keys = (p for p in packets if p.is_key and p.pts_s is not None and p.pts_s <= until_s)
            found = max(keys, key=lambda p: p.pts_s or 0, default=None)
            if found is not None:
                return found
        return None

    def _read(self, from_s: Fraction | None, until_s: Fraction | None) -> Generator[probe.Packet]:
        # A damaged place may be impossible to seek: what is told by then is all there is.
        with suppress(EncoderRejected):
            yield from probe.read_packets(
                self._source, self._tools, self._limits, from_s=from_s, until_s=until_s, streams="V:0"
            )


def unseen(promised: Sequence[Fraction], shown: FrameTimes | None, frame_rate: Fraction) -> int:
    """Count the promised pictures of a chunk that are missing for longer than a gap.

    Args:
        promised: seconds on the clock of `shown`, ascending.
    """
    if shown is None or not promised:
        return len(promised)
    near, gap = 1.5 / float(frame_rate), gap_s(frame_rate)
    times = shown.pts.astype(np.float64) * float(shown.time_base)
    wanted = np.array([float(t) for t in promised])
    place = np.searchsorted(times, wanted)
    # Before the first picture, and behind the last one, the pictures that were promised are the edge.
    edges = np.concatenate([wanted[:1] - 1.1 * near, times, wanted[-1:] + 1.1 * near])
    before, after = edges[place], edges[place + 1]
    missing = (after - before > gap) & (wanted - before > near) & (after - wanted > near)
    return int(missing.sum())


def _stored(key: probe.Packet) -> Fraction:
    """Give the time by which demuxers seek it: that of its decoding, where it has one."""
    return min(t for t in (key.dts_s, key.pts_s) if t is not None)
