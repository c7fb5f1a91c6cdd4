"""A source against the limits: what its header says, and where that cannot be believed, what its packets say."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from core.errors import InvalidMedia
from core.settings import LimitSettings
from media import probe
from media.allowed import accepts_codec
from media.measuring import measured, promised_times
from media.tools import Tools

#: Seconds that are decoded at either end of most videos.
END_S: Final = 2.0
#: Pictures that may stand so close together without making a frame rate.
_FEW_FRAMES: Final = 8


def within_limits(
    header: probe.Header, path: Path, tools: Tools, limits: LimitSettings
) -> tuple[probe.Stream, probe.Header]:
    """Give the video stream and the header, measured where that was needed.

    Raises:
        InvalidMedia: no video, a codec that is not accepted, or beyond a limit (permanent).
    """
    if len(header.streams) > limits.max_streams:
        raise InvalidMedia("too_many_streams")
    video = header.video
    if video is None:
        raise InvalidMedia("no_video_stream")
    _check_codec(video.codec, tools)
    check_size(video.width, video.height, limits)
    # What a header says is no reason to reject: where it is silent or beyond a limit, the packets are asked.
    if not _is_plausible(header, video, path.stat().st_size, limits):
        header = measured(header, path, tools, limits)
        video = header.video or video
    check_length(header.duration_s, path, limits)
    if video.frame_rate is not None and video.frame_rate > limits.max_frame_rate:
        video = replace(video, frame_rate=_true_rate(header, path, tools, limits))
    return video, header


def _is_plausible(header: probe.Header, video: probe.Stream, size: int, limits: LimitSettings) -> bool:
    length = max(header.duration_s or 0, video.duration_s or 0)
    frames = video.frames or 0
    return (
        header.duration_s is not None
        and length <= limits.max_duration.total_seconds()
        and size >= limits.min_bytes_per_s * length
        and frames <= min(limits.max_frames, size)
    )


def check_length(length_s: Fraction | None, path: Path, limits: LimitSettings) -> None:
    """Hold seconds against the longest video, and against the bytes there are for each of them.

    Raises:
        InvalidMedia: too_long, implausible_header (permanent).
    """
    if length_s is not None and length_s > limits.max_duration.total_seconds():
        raise InvalidMedia("too_long")
    if length_s is not None and path.stat().st_size < limits.min_bytes_per_s * length_s:
        raise InvalidMedia("implausible_header")


def _true_rate(header: probe.Header, path: Path, tools: Tools, limits: LimitSettings) -> Fraction | None:
    """Give the frame rate by the packets of the first seconds, undecoded; None where they do not tell.

    Raises:
        InvalidMedia: frame_rate_too_high, by their times too; too_many_frames (permanent).
    """
    until = (header.start_s or Fraction(0)) + Fraction(END_S)
    packets = probe.read_packets(path, tools, limits, until_s=until, streams="V:0")
    rate = rate_of(promised_times(packets, limits))
    if rate is not None and rate > limits.max_frame_rate:
        raise InvalidMedia("frame_rate_too_high")
    return rate


def rate_of(times: list[Fraction]) -> Fraction | None:
    """Give frames per second; None for so few that they may be a burst, as variable frame rates have them."""
    if len(times) < _FEW_FRAMES or times[-1] == times[0]:
        return None
    return ((len(times) - 1) / (times[-1] - times[0])).limit_denominator(1001)


def _check_codec(codec: str, tools: Tools) -> None:
    if not accepts_codec(codec):
        raise InvalidMedia("unsupported_codec", f"The video is encoded with {codec}, which is not accepted.")
    if codec == "av1" and not tools.can_decode_av1:
        raise InvalidMedia("unsupported_codec", "The video is encoded with AV1, which this server cannot decode.")


def check_size(width: int, height: int, limits: LimitSettings) -> None:
    """Hold a picture against the largest one, lying or standing.

    Raises:
        InvalidMedia: too_many_pixels (permanent).
    """
    if max(width, height) > limits.max_width or min(width, height) > limits.max_height:
        raise InvalidMedia("too_many_pixels", f"The picture of {width} x {height} pixels is larger than the limit.")


def undecodable(complaints: str, sentence: str) -> InvalidMedia:
    """Say why nothing can be decoded: pictures beyond what we let ffmpeg hold, or damage."""
    if "exceeds specified max pixel count" in complaints:
        return InvalidMedia("too_many_pixels")
    return InvalidMedia("damaged", sentence)
