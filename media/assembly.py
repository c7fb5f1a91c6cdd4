"""The finished files from the pieces of all chunks: one per rung, and the proxy; nothing is encoded."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from core.errors import InvalidMedia
from core.settings import LimitSettings
from core.values import MediaFacts, Rung, seconds
from media.chunks import EncodedChunk
from media.hls import Track, track_of
from media.joining import join, mux, rung_codec
from media.timing import frame_times
from media.tools import Tools
from media.transcode import PROXY, judge

#: The one file with pictures and sound, for players without HLS.
FILM_NAME: Final = "video.mp4"
#: Gives the pieces of one rung, or of the proxy, in order; each is read before the next one is asked for.
PiecesOf = Callable[[str], Iterable[Path]]


@dataclass(frozen=True)
class JoinedRung:
    """One finished rung: video-only CMAF."""

    path: Path
    track: Track
    #: As RFC 6381 names it.
    codec: str
    #: Pictures per second where they come fastest.
    frame_rate: Decimal


@dataclass(frozen=True)
class Assembled:
    """The finished files, all in one folder."""

    frames: int
    #: Seconds from the first picture's beginning to the last one's end: what scenes must cover.
    duration_s: Decimal
    #: By the name of the rung, largest first.
    rungs: dict[str, JoinedRung]
    proxy: Path | None
    #: What was not as good as it should be, in plain words.
    degraded: tuple[str, ...]


def assemble(
    chunks: Sequence[EncodedChunk],
    pieces_of: PiecesOf,
    facts: MediaFacts,
    rungs: Sequence[Rung],
    *,
    with_proxy: bool,
    limits: LimitSettings,
    folder: Path,
    tools: Tools,
) -> Assembled:
    """Join the pieces of all chunks and judge what was lost on the way.

    Args:
        chunks: in any order; those without a picture have no pieces.
    Raises:
        InvalidMedia: more pictures than allowed, or more lost than the error budget, over all chunks (permanent).
        EncoderRejected: pieces that do not fit together (permanent).
    """
    present = [chunk for chunk in chunks if chunk.frames]
    if not present:
        raise InvalidMedia("damaged", "Not one picture of the video can be decoded.")

    def joined(name: str, target: Path) -> Path:
        return join(pieces_of(name), target, max(chunk.delays[name] for chunk in present))

    made = {}
    for rung in rungs:
        path = joined(rung.name, folder / f"{rung.name}.mp4")
        made[rung.name] = JoinedRung(path, track_of(path, rung.name), rung_codec(path), frame_times(path).fastest_rate)
    proxy = None
    if with_proxy:
        fragments = joined(PROXY, folder / "proxy.fragments.mp4")
        # An ordinary MP4 has an index, and without one no scene can be sought.
        proxy = mux(fragments, None, folder / f"{PROXY}.mp4", tools)
        fragments.unlink()
    times = frame_times(proxy or next(iter(made.values())).path)
    if len(times) > limits.max_frames:
        raise InvalidMedia("too_many_frames")
    lost, packets = sum(c.lost for c in chunks), sum(c.packets for c in chunks)
    remarks = judge(lost, packets, facts, times, limits)
    if facts.is_hdr and not tools.can_tone_map:
        remarks.append("The picture is HDR and this ffmpeg lacks zscale: colours look pale.")
    return Assembled(len(times), seconds(times.duration), made, proxy, tuple(remarks))
