"""The decode of the first and the last seconds, and the last packets against the header's promise."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Final, TypeVar

from core.errors import EncoderRejected, EncoderStalled, InvalidMedia
from core.settings import LimitSettings
from core.values import MediaFacts, seconds
from media import probe
from media.allowed import file_arg, guard_args
from media.colours import colours_of
from media.gops import in_media_time
from media.launcher import run_ffmpeg
from media.limits import END_S, check_size, rate_of, undecodable
from media.losses import remark_on, slack_s
from media.measuring import APPENDED, UNINDEXED, Clock, clock_of, measured, with_leaps
from media.sniff import sniff
from media.tools import Tools
from media.wholeness import is_whole, may_begin_anew

#: Seconds decoded at either end, tried in turn until there is a picture: without an index (MPEG-TS) seeking may land
#: behind the last keyframe, from which on nothing can be decoded.
_WINDOWS_S: Final = (END_S, 12.0, 60.0)
#: Seconds before the end from which packets are listed: the last of every stream should be among them.
_TAIL_S: Final = 5
#: Seconds before the first picture that are worth a word in any video: more than a recording off the air takes to its
#: first keyframe.
_LATE_S: Final = 2
#: Seconds within which two times are one, told to the microsecond by packet and picture.
_SAME_S: Final = Fraction(1, 1000)
T = TypeVar("T")


def with_head(
    facts: MediaFacts, header: probe.Header, path: Path, tools: Tools, limits: LimitSettings
) -> tuple[MediaFacts, Fraction | None]:
    """Decode the beginning: when the first picture is shown, and what pictures really are.

    Returns:
        What is known by then, and the time on the source's clock up to which it was decoded.
    """
    # A cut without re-encoding begins with pictures that are decoded and not shown, up to a whole GOP of them.
    looks = (_unless_refused(partial(probe.read_head_frames, path, tools, limits, length)) for length in _WINDOWS_S)
    frames = next(filter(None, looks), None)
    if not frames:
        raise undecodable(header.complaints, "The beginning of the video cannot be decoded.")
    for frame in frames:
        check_size(int(frame["width"]), int(frame["height"]), limits)
    times = [Fraction(f["best_effort_timestamp_time"]) for f in frames if _is_number(f)]
    has_clock = len(times) == len(frames) and all(a < b for a, b in pairwise(times))
    rate = rate_of(times) if has_clock else None
    if rate is not None and rate > limits.max_frame_rate * Fraction(11, 10):
        raise InvalidMedia("frame_rate_too_high")
    clock = _clock(header, path, tools, limits)
    first = times[0] if times else Fraction(0)
    if clock.first_s is not None and any(abs(first - wild) < _SAME_S for wild in clock.wild_times_s):
        first = clock.first_s - 1 / facts.frame_rate  # where the damaged one was meant to be
    start = seconds(first)
    width, height = _size(header, facts, frames, limits)
    seen = facts.model_copy(
        update={
            "degraded": (*facts.degraded, *_remarks(facts, header, clock, first, limits)),
            "width": width,
            "height": height,
            "start_s": start,
            "is_cuttable": facts.is_cuttable and has_clock and _is_found_by_times(header, clock, start),
            "wild_times_s": tuple(seconds(time) for time in clock.wild_times_s),
            "long_gops": () if header.clock_leaps else in_media_time(clock.long_gops_s, Fraction(start)),
            # One is enough: pictures that are not flagged pass through untouched.
            "is_interlaced": facts.is_interlaced or any(int(f.get("interlaced_frame", 0)) for f in frames),
            "colours": facts.colours or colours_of(frames[0]),
            "is_hdr": facts.is_hdr or any(probe.is_hdr_transfer(f.get("color_transfer")) for f in frames),
        }
    )
    return seen, max(times, default=None)


def _size(
    header: probe.Header, facts: MediaFacts, frames: list[dict[str, str]], limits: LimitSettings
) -> tuple[int, int]:
    """Give the size of the largest picture: a header may say none, and what is sent live begins small."""
    if header.video is None:
        return facts.width, facts.height
    stream = header.video
    return max((probe.shown_size(probe.sized(stream, frame), limits.max_width) for frame in frames), key=prod)


def _is_found_by_times(header: probe.Header, clock: Clock, start_s: Decimal) -> bool:
    """Whether pictures can be found by their times; some demuxers cannot seek before zero."""
    return start_s >= 0 and clock.is_steady and not header.clock_leaps


def _remarks(
    facts: MediaFacts, header: probe.Header, clock: Clock, first_s: Fraction, limits: LimitSettings
) -> Iterator[str]:
    """Say what is not as good as it should be, now that the beginning was decoded."""
    begins_s = header.video.start_s if header.video is not None else None
    late_s = Fraction(0) if begins_s is None or clock.wild_times_s else first_s - begins_s
    worth_a_word = min(Fraction(_LATE_S), Fraction(limits.error_budget) * Fraction(facts.duration_s))
    if late_s > max(worth_a_word, slack_s(facts.frame_rate)):
        yield f"The first {float(late_s):.1f} seconds cannot be decoded: the video begins behind them."
    if header.clock_leaps:
        yield "The clock of the video leaps: what lies behind that goes on where it was."


def with_tail(
    facts: MediaFacts,
    decoded_s: Fraction | None,
    header: probe.Header,
    path: Path,
    tools: Tools,
    limits: LimitSettings,
) -> MediaFacts:
    """Hold the last packets against the header, and decode the end, unless it was decoded with the beginning."""
    if facts.wild_times_s and not header.is_measured:
        header = measured(header, path, tools, limits)  # a length may have been read from the wild time
    start = header.start_s or Fraction(0)
    promised = header.duration_s or Fraction(0)
    tail = _tail(header, path, tools, limits, start + promised - _TAIL_S)
    if not tail.has_pictures and not header.is_measured:  # pictures may end long before the sound
        return with_tail(facts, decoded_s, measured(header, path, tools, limits), path, tools, limits)
    # Some containers count their duration from zero, some from the first packet: the kinder reading.
    reached = (start if tail.reached_s is None else tail.reached_s) - min(start, Fraction(0))
    missing = promised - reached
    has_clock = facts.is_cuttable or bool(facts.wild_times_s) or facts.start_s < 0
    has_clock = has_clock and not header.clock_leaps
    worth_a_word = slack_s(facts.frame_rate)
    degraded = list(facts.degraded)
    if has_clock and missing > max(worth_a_word, Fraction(limits.error_budget) * promised):
        if not header.is_measured and _is_all_there(header, path, tools, limits):
            return with_tail(facts, decoded_s, measured(header, path, tools, limits), path, tools, limits)
        raise InvalidMedia("truncated")
    if has_clock and missing > worth_a_word:
        degraded.append(remark_on(missing))
    last = start + promised if tail.last_s is None else tail.last_s
    is_seen = decoded_s is not None and decoded_s >= last
    if facts.is_cuttable and not is_seen and not _tail_decodes(facts, last - start, path, tools, limits):
        if not header.is_measured:  # a header may promise an end that is nowhere near
            return with_tail(facts, decoded_s, measured(header, path, tools, limits), path, tools, limits)
        if limits.error_budget * float(facts.duration_s) < END_S:
            raise InvalidMedia("damaged", "The end of the video cannot be decoded.")
        degraded.append("The last seconds of the video cannot be decoded.")
    duration = facts.duration_s if tail.end_s is None or not has_clock else seconds(tail.end_s) - facts.start_s
    return facts.model_copy(update={"degraded": tuple(degraded), "duration_s": duration})


def _is_all_there(header: probe.Header, path: Path, tools: Tools, limits: LimitSettings) -> bool:
    """Whether a file that ends too soon is whole all the same, so that its header is what is wrong."""
    counted = header.frames is not None and measured(header, path, tools, limits).frames == header.frames
    return counted or is_whole(path, sniff(path))


@dataclass
class _Tail:
    """What the packets of the last seconds say; source clock."""

    #: When the last packet of any stream ends.
    reached_s: Fraction | None = None
    #: When the last picture begins, and when it ends.
    last_s: Fraction | None = None
    end_s: Fraction | None = None
    #: Whether there is any picture; some containers do not tell when theirs are shown.
    has_pictures: bool = False


def _tail(header: probe.Header, path: Path, tools: Tools, limits: LimitSettings, from_s: Fraction) -> _Tail:
    read = partial(probe.read_packets, path, tools, limits)
    try:
        return _tail_of(read(from_s=from_s), header)
    except EncoderRejected:  # damage may make a place impossible to seek, and yet be no great loss
        return _tail_of(read(), header)


def _tail_of(packets: Iterable[probe.Packet], header: probe.Header) -> _Tail:
    """Sum packets up as they come: of a damaged or hostile file they may be any number."""
    tail = _Tail()

    def pictures() -> Iterator[probe.Packet]:
        for packet in packets:
            tail.reached_s = _later(tail.reached_s, packet.end_s)
            # A damaged file may seem to have more streams of pictures, with times of their own.
            if header.video is not None and packet.stream == header.video.index:
                tail.has_pictures = True
                yield packet

    for packet, is_wild in with_leaps(pictures(), header.container):
        if not is_wild:
            tail.last_s, tail.end_s = _later(tail.last_s, packet.pts_s), _later(tail.end_s, packet.end_s)
    return tail


def _later(one: Fraction | None, other: Fraction | None) -> Fraction | None:
    return max((t for t in (one, other) if t is not None), default=None)


def is_read_through(header: probe.Header, path: Path) -> bool:
    """Whether the packets of all pictures are read for the source's clock, and long GOPs are known by that."""
    return header.container in UNINDEXED or (header.container in APPENDED and may_begin_anew(path, sniff(path)))


def _clock(header: probe.Header, path: Path, tools: Tools, limits: LimitSettings) -> Clock:
    """Say how the clock goes on; where an index says so, it is believed, and so it is where nobody can say."""
    steady = Clock(starts_again=False)
    if not is_read_through(header, path):
        return steady
    clock = _unless_refused(partial(clock_of, path, tools, limits, header.container)) or steady
    if header.container in APPENDED and not clock.starts_again:  # what an index says of single times is believed
        return Clock(starts_again=False, long_gops_s=clock.long_gops_s)
    return clock


def _tail_decodes(facts: MediaFacts, last_s: Fraction, path: Path, tools: Tools, limits: LimitSettings) -> bool:
    for window in _WINDOWS_S:
        # One picture may stand for several seconds: the window holds a few at any frame rate.
        begin = max(0.0, float(last_s) - max(window, 3 / float(facts.frame_rate)))
        args = ["-v", "error", *guard_args(limits), "-ss", f"{begin:.6f}", "-i", file_arg(path)]
        # passthrough: -f null alone would repeat pictures to fill gaps, and count them.
        args += ["-map", "0:V:0", "-fps_mode", "passthrough", "-f", "null", "-"]
        try:
            done = _unless_refused(partial(run_ffmpeg, tools, args))
        except EncoderStalled:
            return True  # from a keyframe far before the end decoding takes long, and nothing is told on the way
        if done is not None and done.progress is not None and done.progress.frame > 0:
            return True
        if not begin:
            break
    return False


def _unless_refused(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except EncoderRejected:
        return None


def _is_number(frame: dict[str, str]) -> bool:
    return frame.get("best_effort_timestamp_time", "N/A") != "N/A"
