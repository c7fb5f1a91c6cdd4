"""HLS playlists over joined CMAF files, by byte range (RFC 8216); touches nothing but the files' boxes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from media.timing import Fragment, fragments_of

MASTER_NAME: Final = "master.m3u8"
#: Byte ranges in fragmented MP4 and EXT-X-MAP need version 7.
_VERSION: Final = 7
#: AAC-LC as RFC 6381 names it.
AUDIO_CODEC: Final = "mp4a.40.2"
_AUDIO_GROUP: Final = "sound"
#: Name of the one sound track.
AUDIO: Final = "audio"


@dataclass(frozen=True)
class Track:
    """One joined CMAF file as a player sees it."""

    name: str
    #: File name, relative to the playlists.
    file: str
    fragments: tuple[Fragment, ...]

    @property
    def average_bps(self) -> int:
        """Bits per second over the whole track."""
        return _bps(self.fragments)

    @property
    def peak_bps(self) -> int:
        """Bits per second of the busiest stretch of 0.5 to 1.5 target durations (RFC 8216, 4.1)."""
        # Sums of whole ticks: one long pause makes every stretch hundreds of segments long.
        clock = math.lcm(*(f.duration_s.denominator for f in self.fragments))
        ticks = np.cumsum([0, *(int(f.duration_s * clock) for f in self.fragments)], dtype=np.int64)
        sizes = np.cumsum([0, *(f.end - f.start for f in self.fragments)], dtype=np.int64)
        target = self.target_s * clock
        firsts = np.searchsorted(2 * ticks, 2 * ticks + target, side="left")
        ends = np.searchsorted(2 * ticks, 2 * ticks + 3 * target, side="right")
        peak = self.average_bps
        for begin, (first, end) in enumerate(zip(firsts.tolist(), ends.tolist(), strict=True)):
            if (first := max(first, begin + 1)) < end:
                rates = (sizes[first:end] - sizes[begin]) / (ticks[first:end] - ticks[begin])
                last = first + int(np.argmax(rates))
                peak = max(peak, _bps(self.fragments[begin:last])) if rates.max() * 8 * clock > peak else peak
        return peak

    @property
    def target_s(self) -> int:
        """The longest segment, rounded up to whole seconds."""
        return max(1, max((math.ceil(f.duration_s) for f in self.fragments), default=1))


@dataclass(frozen=True)
class Variant:
    """One rung in the master playlist."""

    name: str
    average_bps: int
    peak_bps: int
    width: int
    height: int
    #: Such as avc1.64001f.
    codec: str
    #: The highest, as RFC 8216 asks for: the mean of a variable rate would promise too little.
    frame_rate: Decimal


def track_of(path: Path, name: str) -> Track:
    """Read where the segments of a joined file lie.

    Raises:
        EncoderRejected: no fragmented MP4 (permanent).
    """
    return Track(name, path.name, fragments_of(path))


def media_playlist(track: Track) -> str:
    """Write the playlist of one track: one segment per fragment."""
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{_VERSION}",
        f"#EXT-X-TARGETDURATION:{track.target_s}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    if track.fragments:
        # Everything before the first fragment tells the player how to decode.
        lines.append(f'#EXT-X-MAP:URI="{track.file}",BYTERANGE="{track.fragments[0].start}@0"')
    for fragment in track.fragments:
        lines += [
            f"#EXTINF:{float(fragment.duration_s):.6f},",
            f"#EXT-X-BYTERANGE:{fragment.end - fragment.start}@{fragment.start}",
            track.file,
        ]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


def master_playlist(variants: Sequence[Variant], audio_bps: tuple[int, int] | None) -> str:
    """Write the master playlist, the largest rung first; every rung shares the one sound track.

    Args:
        audio_bps: bits per second of the sound, average and peak; None where there is none.
    """
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{_VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    average, peak = audio_bps or (0, 0)
    if audio_bps:
        lines.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{_AUDIO_GROUP}",NAME="Sound",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",'
            f'URI="{playlist_name(AUDIO)}"'
        )
    for variant in variants:
        codecs = f"{variant.codec},{AUDIO_CODEC}" if audio_bps else variant.codec
        attributes = [
            f"BANDWIDTH={variant.peak_bps + peak}",
            f"AVERAGE-BANDWIDTH={variant.average_bps + average}",
            f'CODECS="{codecs}"',
            f"RESOLUTION={variant.width}x{variant.height}",
            f"FRAME-RATE={variant.frame_rate:.3f}",
            *([f'AUDIO="{_AUDIO_GROUP}"'] if audio_bps else []),
        ]
        lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", playlist_name(variant.name)]
    return "\n".join([*lines, ""])


def playlist_name(track: str) -> str:
    """Name the playlist of a track."""
    return f"{track}.m3u8"


def _bps(fragments: Sequence[Fragment]) -> int:
    length = sum((f.duration_s for f in fragments), Fraction(0))
    size = sum(f.end - f.start for f in fragments)
    return math.ceil(size * 8 / length) if length else 0
