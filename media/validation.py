"""The verdict on an uploaded file: what it is, or why it cannot be indexed."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from signal import Signals
from typing import Final, TypeVar

from core.errors import EncoderKilled, EncoderRejected, InvalidMedia
from core.settings import LimitSettings
from core.values import MediaFacts, seconds
from media import probe
from media.allowed import accepts_codec, file_arg, guard_args
from media.complaints import is_inputs_fault
from media.launcher import run_ffmpeg
from media.sniff import sniff
from media.tools import Tools

#: Seconds that are decoded at either end of most videos.
_END_S: Final = 2.0
#: Seconds decoded at either end, tried in turn until there is a picture: without an index (MPEG-TS) seeking may land
#: behind the last keyframe, from which on nothing can be decoded.
_WINDOWS_S: Final = (_END_S, 12.0, 60.0)
#: Seconds before the end from which packets are listed: the last of every stream should be among them.
_TAIL_S: Final = 5
#: Seconds that a header may promise too much before it is worth a word.
_SLACK_S: Final = Fraction(1, 4)
#: Signals by which a program dies of its own fault, so of its input.
_CRASHES: Final = frozenset({Signals.SIGSEGV, Signals.SIGABRT, Signals.SIGBUS, Signals.SIGFPE, Signals.SIGILL})
_PLAYLIST_DEMUXERS: Final = frozenset(
    {"hls", "concat", "dash", "sdp", "imf", "webm_dash_manifest", "rtsp", "image2", "tedcaptions"}
)
_FALLBACK_RATE: Final = Fraction(25)
T = TypeVar("T")


def inspect(path: Path, tools: Tools, limits: LimitSettings) -> MediaFacts:
    """Judge a file by sniffing, probing, its limits and the decode of its first and last seconds.

    Raises:
        InvalidMedia: it cannot be indexed; `reason` says why (permanent).
        EncoderKilled, EncoderStalled: the probe was ended from outside, or had to be (transient).
    """
    size = path.stat().st_size
    judge_size(size, limits)
    container = sniff(path)
    with blames_input(), _refusals_are_damage():
        header = _header(path, tools, limits, container)
        video, header = _within_limits(header, path, tools, limits)
        facts = _facts(header, video)
        _plausible(facts, video, size, limits)
        facts = _with_head(facts, path, tools, limits)
        return _with_tail(facts, header, path, tools, limits)


def judge_size(size_bytes: int, limits: LimitSettings) -> None:
    """Judge a file by its size alone, which the store tells before anything is fetched.

    Raises:
        InvalidMedia: too large, or empty (permanent).
    """
    if size_bytes == 0:
        raise InvalidMedia("empty")
    if size_bytes > limits.max_bytes:
        raise InvalidMedia("too_large")


@contextmanager
def blames_input() -> Iterator[None]:
    """Turn the end of a media process by its input's fault into a verdict.

    A stall is no verdict, because a slow disk or a starved machine looks the same; nor is a refusal of which
    ffmpeg does not clearly say that the input is to blame, because our settings may be.
    """
    try:
        yield
    except EncoderKilled as error:
        if error.signum not in _CRASHES:
            raise
        raise InvalidMedia("damaged", "The video is so damaged that its decoder breaks down.") from error
    except EncoderRejected as error:
        if not is_inputs_fault(error):
            raise
        raise InvalidMedia("damaged") from error


@contextmanager
def _refusals_are_damage() -> Iterator[None]:
    """Turn the refusal of a media program, which has shown that it runs, into a verdict on its input."""
    try:
        yield
    except EncoderRejected as error:
        raise InvalidMedia("damaged") from error


def _header(path: Path, tools: Tools, limits: LimitSettings, container: str | None) -> probe.Header:
    try:
        header = probe.read_header(path, tools, limits)
        complaints = header.complaints
    except EncoderRejected as error:
        header, complaints = None, str(error)
    if header is not None and header.container and header.streams:
        return header
    if "max_streams" in complaints:
        raise InvalidMedia("too_many_streams")
    refused = re.search(r"\[([\w,]+) @ \w+\] Format not on whitelist", complaints)
    if refused:
        names = set(refused[1].split(","))
        raise InvalidMedia("playlist_not_allowed" if names & _PLAYLIST_DEMUXERS else "unsupported_container")
    codec = re.search(r"Codec \((\w+)\) not on whitelist", complaints)
    if codec:
        raise InvalidMedia("unsupported_codec", f"The file holds a stream in {codec[1]}, which is not accepted.")
    if container is None:
        raise InvalidMedia("not_media")
    if "moov atom not found" in complaints:
        raise InvalidMedia("truncated", "The file ends before its index: the upload or the recording was cut off.")
    raise InvalidMedia("damaged", "The file begins like a video, but its structure cannot be read.")


def _within_limits(
    header: probe.Header, path: Path, tools: Tools, limits: LimitSettings
) -> tuple[probe.Stream, probe.Header]:
    if len(header.streams) > limits.max_streams:
        raise InvalidMedia("too_many_streams")
    video = header.video
    if video is None:
        raise InvalidMedia("no_video_stream")
    _check_codec(video.codec, tools)
    _check_size(video.width, video.height, limits)
    if video.frame_rate is not None and video.frame_rate > limits.max_frame_rate:
        raise InvalidMedia("frame_rate_too_high")
    if (video.frames or 0) > limits.max_frames:
        raise InvalidMedia("too_many_frames")
    if header.duration_s is None:
        header = replace(header, duration_s=_duration_by_packets(path, tools, limits))
    if header.duration_s is not None and header.duration_s > limits.max_duration.total_seconds():
        raise InvalidMedia("too_long")
    return video, header


def _check_codec(codec: str, tools: Tools) -> None:
    if not accepts_codec(codec):
        raise InvalidMedia("unsupported_codec", f"The video is encoded with {codec}, which is not accepted.")
    if codec == "av1" and not tools.can_decode_av1:
        raise InvalidMedia("unsupported_codec", "The video is encoded with AV1, which this server cannot decode.")


def _check_size(width: int, height: int, limits: LimitSettings) -> None:
    if max(width, height) > limits.max_width or min(width, height) > limits.max_height:
        raise InvalidMedia("too_many_pixels", f"The picture of {width} x {height} pixels is larger than the limit.")


def _duration_by_packets(path: Path, tools: Tools, limits: LimitSettings) -> Fraction | None:
    """Measure a file whose header is silent (a live recording) by its packets, undecoded."""
    first: Fraction | None = None
    end: Fraction | None = None
    for count, packet in enumerate(probe.read_packets(path, tools, limits, streams="V:0"), start=1):
        if count > limits.max_frames:
            raise InvalidMedia("too_many_frames")
        if packet.pts_s is not None and packet.end_s is not None:
            first = packet.pts_s if first is None else min(first, packet.pts_s)
            end = packet.end_s if end is None else max(end, packet.end_s)
    return None if first is None or end is None else end - first


def _facts(header: probe.Header, video: probe.Stream) -> MediaFacts:
    width, height = probe.shown_size(video)
    audio = header.audio
    degraded = []
    if audio is not None and not accepts_codec(audio.codec):
        degraded.append(f"The sound is encoded with {audio.codec}, which is not accepted: it was left out.")
        audio = None
    return MediaFacts(
        container=header.container,
        duration_s=seconds(video.duration_s or header.duration_s or Fraction(0)),
        width=width,
        height=height,
        frame_rate=video.frame_rate or _FALLBACK_RATE,
        video_codec=video.codec,
        audio_codec=audio.codec if audio else None,
        rotation=video.rotation,
        is_interlaced=video.is_interlaced,
        is_hdr=video.is_hdr,
        is_cuttable=header.start_s is not None,
        degraded=tuple(degraded),
    )


def _plausible(facts: MediaFacts, video: probe.Stream, size: int, limits: LimitSettings) -> None:
    if size < limits.min_bytes_per_s * facts.duration_s or (video.frames or 0) > size:
        raise InvalidMedia("implausible_header")


def _with_head(facts: MediaFacts, path: Path, tools: Tools, limits: LimitSettings) -> MediaFacts:
    """Decode the beginning: when the first picture is shown, and what pictures really are."""
    # A cut without re-encoding begins with pictures that are decoded and not shown, up to a whole GOP of them.
    looks = (_unless_refused(partial(probe.read_head_frames, path, tools, limits, length)) for length in _WINDOWS_S)
    frames = next(filter(None, looks), None)
    if not frames:
        raise InvalidMedia("damaged", "The beginning of the video cannot be decoded.")
    for frame in frames:
        _check_size(int(frame["width"]), int(frame["height"]), limits)
    times = [Fraction(f["best_effort_timestamp_time"]) for f in frames if _is_number(f)]
    has_clock = len(times) == len(frames) and all(a < b for a, b in pairwise(times))
    if len(times) > 1 and times[-1] > times[0]:
        rate = (len(times) - 1) / (times[-1] - times[0])
        if has_clock and rate > limits.max_frame_rate * Fraction(11, 10):
            raise InvalidMedia("frame_rate_too_high")
    start = seconds(times[0] if times else Fraction(0))
    interlaced = sum(int(f.get("interlaced_frame", 0)) for f in frames)
    return facts.model_copy(
        update={
            "start_s": start,
            # Some demuxers cannot seek before zero.
            "is_cuttable": facts.is_cuttable and has_clock and start >= 0,
            "is_interlaced": facts.is_interlaced or 2 * interlaced > len(frames),
            "is_hdr": facts.is_hdr or any(probe.is_hdr_transfer(f.get("color_transfer")) for f in frames),
        }
    )


def _with_tail(facts: MediaFacts, header: probe.Header, path: Path, tools: Tools, limits: LimitSettings) -> MediaFacts:
    """Hold the last packets against the header, and decode the end."""
    start = header.start_s or Fraction(0)
    promised = header.duration_s or Fraction(0)
    packets = _tail_packets(path, tools, limits, start + promised - _TAIL_S)
    ends = [p.end_s for p in packets if p.end_s is not None]
    # Some containers count their duration from zero, some from the first packet: the kinder reading.
    reached = max(ends, default=start) - min(start, Fraction(0))
    missing = promised - reached
    has_clock = facts.is_cuttable or facts.start_s < 0
    worth_a_word = _SLACK_S + 2 / facts.frame_rate
    degraded = list(facts.degraded)
    if has_clock and missing > max(worth_a_word, Fraction(limits.error_budget) * promised):
        raise InvalidMedia("truncated")
    if has_clock and missing > worth_a_word:
        degraded.append(f"The last {float(missing):.1f} seconds that the header promises are missing.")
    video = [p for p in packets if p.kind == "video"]
    last = max((p.pts_s for p in video if p.pts_s is not None), default=start + Fraction(facts.duration_s))
    if facts.is_cuttable and not _tail_decodes(facts, last - start, path, tools, limits):
        if limits.error_budget * float(facts.duration_s) < _END_S:
            raise InvalidMedia("damaged", "The end of the video cannot be decoded.")
        degraded.append("The last seconds of the video cannot be decoded.")
    end = max((p.end_s for p in video if p.end_s is not None), default=None)
    duration = facts.duration_s if end is None or not has_clock else seconds(end) - facts.start_s
    return facts.model_copy(update={"degraded": tuple(degraded), "duration_s": duration})


def _tail_packets(path: Path, tools: Tools, limits: LimitSettings, from_s: Fraction) -> list[probe.Packet]:
    try:
        return list(probe.read_packets(path, tools, limits, from_s=from_s))
    except EncoderRejected:  # damage may make a place impossible to seek, and yet be no great loss
        return list(probe.read_packets(path, tools, limits))


def _tail_decodes(facts: MediaFacts, last_s: Fraction, path: Path, tools: Tools, limits: LimitSettings) -> bool:
    for window in _WINDOWS_S:
        # One picture may stand for several seconds: the window holds a few at any frame rate.
        begin = max(0.0, float(last_s) - max(window, 3 / float(facts.frame_rate)))
        args = ["-v", "error", *guard_args(limits), "-ss", f"{begin:.6f}", "-i", file_arg(path)]
        # passthrough: -f null alone would repeat pictures to fill gaps, and count them.
        args += ["-map", "0:V:0", "-fps_mode", "passthrough", "-f", "null", "-"]
        done = _unless_refused(partial(run_ffmpeg, tools, args))
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
