"""What a file that was cut off has lost, where ffprobe makes the header's promise fit what is left."""

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from core.errors import InvalidMedia
from core.settings import LimitSettings
from media import probe
from media.measuring import measured
from media.tools import Tools
from media.wholeness import is_cut_off, play_s

#: Seconds that a header may promise too much before it is worth a word.
_SLACK_S: Final = Fraction(1, 4)
#: The container that tells one length for all of its streams, of which the sound may be the longest.
_TOLD_TOGETHER: Final = "asf"


def slack_s(frame_rate: Fraction | None) -> Fraction:
    """Give the seconds up to which what a header promises may be missing without a word."""
    return _SLACK_S + (2 / frame_rate if frame_rate else 0)


def remark_on(missing_s: Fraction) -> str:
    """Say what is missing at the end."""
    return f"The last {float(missing_s):.1f} seconds that the header promises are missing."


def after_loss(
    said: probe.Header, header: probe.Header, path: Path, tools: Tools, limits: LimitSettings
) -> tuple[probe.Header, str | None]:
    """Hold a file that ends before its byte counts say against the length that its header promises.

    Neither alone is believed: a flipped bit may lie about the bytes, and a pause at the end hold no packets.

    Args:
        said: the header as it was read.
        header: the same, measured where that was needed.
    Returns:
        The header, measured where something is missing, and then a remark.
    Raises:
        InvalidMedia: more is missing than the error budget; too_many_frames (permanent).
    """
    promised_s = _promised_s(said, path) if is_cut_off(path, said.container) else None
    # Longer than a video may be, it is what a recorder writes first and mends at the end.
    if promised_s is None or promised_s > limits.max_duration.total_seconds():
        return header, None
    left = header if header.is_measured else measured(header, path, tools, limits)
    slack = slack_s(said.video.frame_rate if said.video else None)
    left_s = _pictures_s(left, said)
    if said.container == _TOLD_TOGETHER and promised_s - left_s > slack:
        left_s = max(left_s, _end_s(probe.read_packets(path, tools, limits)))
    missing_s = promised_s - left_s
    if missing_s > max(slack, Fraction(limits.error_budget) * promised_s):
        raise InvalidMedia("truncated")
    return (header, None) if missing_s <= slack else (replace(left, duration_s=left_s), remark_on(missing_s))


def _promised_s(said: probe.Header, path: Path) -> Fraction | None:
    """Give the length that the header itself promises, which ffprobe may have shortened or left out."""
    video = said.video
    if said.container == _TOLD_TOGETHER:
        return play_s(path)
    if video is not None and video.frames and video.frame_rate:
        return video.frames / video.frame_rate
    return video.duration_s if video is not None else None


def _pictures_s(left: probe.Header, said: probe.Header) -> Fraction:
    """Give the length of the pictures that are left, by their times or by their number: what is longer."""
    rate = said.video.frame_rate if said.video else None
    return max(left.duration_s or Fraction(0), (left.frames or 0) / rate if rate else Fraction(0))


def _end_s(packets: Generator[probe.Packet]) -> Fraction:
    """Give when the last packet of any stream ends."""
    with closing(packets):
        return max((packet.end_s for packet in packets if packet.end_s is not None), default=Fraction(0))
