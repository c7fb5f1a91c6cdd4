"""What the packets say, undecoded, where the header is silent or cannot be believed."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from core.errors import InvalidMedia
from core.settings import LimitSettings
from media import probe
from media.tools import Tools


def measured(header: probe.Header, path: Path, tools: Tools, limits: LimitSettings) -> probe.Header:
    """Put what the packets of the video stream say in the place of what the header says of length and pictures.

    Raises:
        InvalidMedia: too_many_frames, counted (permanent).
    """
    first: Fraction | None = None
    end: Fraction | None = None
    count = 0
    for count, packet in enumerate(probe.read_packets(path, tools, limits, streams="V:0"), start=1):
        if count > limits.max_frames:
            raise InvalidMedia("too_many_frames")
        if packet.pts_s is not None and packet.end_s is not None:
            first = packet.pts_s if first is None else min(first, packet.pts_s)
            end = packet.end_s if end is None else max(end, packet.end_s)
    length = None if first is None or end is None else end - first
    streams = tuple(
        replace(s, duration_s=length, frames=count or None) if s is header.video else s for s in header.streams
    )
    return replace(header, duration_s=length, streams=streams, is_measured=True)
