"""Transcoding in chunks: a long source that dies at 95 % is resumed at 95 %.

A chunk is a half-open interval of media time on segment borders. Its pieces are video-only CMAF files on
the clock of the whole video, so joining them is copying boxes (media/assembly.py).
"""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Final

from pydantic import Field

from core.errors import EncoderRejected
from core.settings import LimitSettings, MediaSettings
from core.values import MediaFacts, Rung, Seconds, StoredFile, Value
from media.filters import plain, video_graph
from media.gops import BEHIND_S
from media.joining import delay_of
from media.ladder import proxy_size
from media.launcher import Completed, Progress, run_ffmpeg
from media.measuring import SCANNED
from media.rung_encoders import require_encoder, rung_args
from media.seeking import Seeker, unseen
from media.timing import FrameTimes, frame_times
from media.tools import Tools
from media.transcode import (
    PROXY,
    PROXY_KEYFRAMES_S,
    TIME_SCALE,
    count_losses,
    on_frames,
    proxy_args,
    source_args,
    video_args,
)
from media.validation import blames_input

#: Nothing holds the proxy to a ceiling; seen on busy pictures: about half of this.
_PROXY_KBPS: Final = 2000
#: Of a chunk's length, what may be decoded before the next one for nothing. Where every GOP is that long it is half as
#: much on average, a tenth; GOPs of ten seconds, which are usual, leave chunks of a minute alone.
_MOST_TWICE: Final = Decimal("0.2")
#: The pieces must fit one behind the other without a change: no index at the end, fragments at keyframes that say
#: their time themselves (frag_discont: on the clock of the whole video), pictures shown when they say so.
_PIECE_FLAGS: Final = "+cmaf+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets+skip_trailer+frag_discont"


class Chunk(Value):
    """Part of a source that one task encodes: media time, half-open [start_s, end_s)."""

    index: int
    start_s: Seconds
    #: None for the last one, which takes everything that is left.
    end_s: Seconds | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the source was not cut at all."""
        return self.index == 0 and self.end_s is None

    def length_s(self, facts: MediaFacts) -> Decimal:
        """Seconds of media time in it, as far as validation knows."""
        return max(Decimal(0), (self.end_s if self.end_s is not None else facts.duration_s) - self.start_s)


class PlannedChunk(Chunk):
    """A chunk, and what is to be made of it: outputs that are there already are left out."""

    rungs: tuple[Rung, ...]
    with_proxy: bool
    #: The ffmpeg that makes it: pieces of two versions may not fit together.
    ffmpeg_version: str = ""


class EncodedChunk(Value):
    """What one chunk became; survives a trip through JSON."""

    index: int
    frames: int
    #: Packets read and pictures or packets damaged, for the error budget of the whole video.
    packets: int
    lost: int
    #: File names in the folder of the chunk, by the name of their rung; `proxy` for the proxy.
    pieces: dict[str, str]
    #: Ticks by which pieces show their earliest picture before it is decoded, by the name of their rung.
    delays: dict[str, int] = Field(default_factory=dict)


class ChunkPieces(Value):
    """Manifest of one chunk: what it became, and where its pieces are, by the name of their rung."""

    fingerprint: str
    encoded: EncodedChunk
    files: dict[str, StoredFile]


def chunks_for(facts: MediaFacts, settings: MediaSettings) -> tuple[Chunk, ...]:
    """Cut a source into chunks on segment borders; up to two chunks' length it stays whole. Touches nothing.

    Within a long GOP, where all since its keyframe would be decoded once more, a chunk goes on until just behind the
    next one: a source with one keyframe stays whole, and what it takes to decode a source grows with its length
    alone. The price is that more is lost with a process, and fewer chunks are made side by side.
    """
    length = max(settings.segment_s, settings.chunk_s // settings.segment_s * settings.segment_s)
    if not facts.is_cuttable or facts.duration_s <= 2 * length:
        return (Chunk(index=0, start_s=Decimal(0)),)
    borders = [0]
    # A rest shorter than a segment is not worth a chunk.
    while (border := _border_behind(borders[-1], length, facts, settings)) < facts.duration_s - settings.segment_s:
        borders.append(border)
    starts = [Decimal(border) for border in borders]
    return tuple(
        Chunk(index=index, start_s=start, end_s=end)
        for index, (start, end) in enumerate(zip_longest(starts, starts[1:]))
    )


def encode_chunk(
    source: Path,
    facts: MediaFacts,
    chunk: Chunk,
    rungs: Sequence[Rung],
    *,
    with_proxy: bool,
    settings: MediaSettings,
    limits: LimitSettings,
    folder: Path,
    tools: Tools,
    on_progress: Callable[[Progress], None] | None = None,
) -> EncodedChunk:
    """Make the pieces of one chunk, every rung and the proxy from one decode; `folder` is the only place written.

    A chunk may hold no picture at all, where the source has a gap; its pieces are then missing.

    Raises:
        InvalidMedia: damaged beyond reading, or more frames than allowed (permanent).
        EncoderKilled, EncoderStalled, ScratchFull: try again (transient).
        MissingDependency: the encoder of the rungs does not work here (permanent).
    """
    names = {name: f"{name}.mp4" for name in (*(rung.name for rung in rungs), *([PROXY] if with_proxy else []))}
    if not names:
        raise ValueError("nothing to make: no rung and no proxy")
    if rungs:
        require_encoder(settings, tools)
    piece = folder / names.get(PROXY, next(iter(names.values())))
    watch = on_frames(facts, limits, on_progress)
    seeker = Seeker(source, facts.container, tools, limits)
    zero = Fraction(facts.start_s)
    begin, end = _span(facts, chunk)
    promised = () if chunk.is_whole else seeker.pictures(begin, end)
    args_from = partial(
        chunk_args,
        source,
        facts,
        chunk,
        rungs,
        with_proxy=with_proxy,
        settings=settings,
        limits=limits,
        tools=tools,
    )
    for seek_s in seeker.starts(begin) if chunk.index else (None,):
        done = _run(args_from(seek_s=seek_s), folder, tools, watch)
        times = _times(piece)
        if not promised or (times is not None and times.first <= promised[0] - zero + 3 / (2 * facts.frame_rate)):
            break
    lost, packets = count_losses(done)
    if _first_until_s(facts, chunk) is not None:
        lost = sum(done.damage.values())
    if not chunk.is_whole:
        # The summary counts what was read on the way to the chunk, and behind it, too; that is another chunk's.
        lost = max(sum(done.damage.values()), unseen([t - zero for t in promised], times, facts.frame_rate))
        packets = len(promised) or packets
    if times is None:
        return EncodedChunk(index=chunk.index, frames=0, packets=packets, lost=lost, pieces={})
    return EncodedChunk(
        index=chunk.index,
        frames=len(times),
        packets=packets,
        lost=lost,
        pieces=names,
        delays={name: delay_of(folder / file) for name, file in names.items()},
    )


def most_bytes(chunk: PlannedChunk, facts: MediaFacts) -> int:
    """Give the bytes that the pieces of a chunk take at most; touches nothing."""
    kbps = sum(rung.max_bitrate_kbps for rung in chunk.rungs) + (_PROXY_KBPS if chunk.with_proxy else 0)
    # The encoder may run ahead of its ceiling by a buffer of two seconds.
    return int(kbps * 125 * (chunk.length_s(facts) + 2))


def chunk_args(
    source: Path,
    facts: MediaFacts,
    chunk: Chunk,
    rungs: Sequence[Rung],
    *,
    with_proxy: bool,
    settings: MediaSettings,
    limits: LimitSettings,
    tools: Tools,
    seek_s: Fraction | None = None,
) -> list[str]:
    """Build the arguments for one chunk, decoding from `seek_s` (source clock) on; touches nothing."""
    sizes = [(rung.width, rung.height) for rung in rungs]
    sizes += [proxy_size(facts, settings.proxy_short_side)] if with_proxy else []
    graph = video_graph(
        facts,
        sizes,
        can_tone_map=tools.can_tone_map,
        select=None if chunk.is_whole else _interval(facts, chunk),
        until_s=_span(facts, chunk)[1],
        first_until_s=_first_until_s(facts, chunk),
    )
    args = [*source_args(source, limits, tools, seek_s=seek_s), "-filter_complex", graph]
    of_rung, of_proxy = (video_args(tools, each_s) for each_s in (settings.segment_s, PROXY_KEYFRAMES_S))
    muxing = ["-movflags", _PIECE_FLAGS, "-avoid_negative_ts", "disabled"]
    muxing += ["-video_track_timescale", str(TIME_SCALE), "-f", "mp4"]
    for index, rung in enumerate(rungs):
        args += ["-map", f"[v{index}]", *of_rung, *rung_args(rung, settings), *muxing, f"{rung.name}.mp4"]
    if with_proxy:
        args += ["-map", f"[v{len(rungs)}]", *of_proxy, *proxy_args(), *muxing, f"{PROXY}.mp4"]
    return args


def _border_behind(start_s: int, length_s: int, facts: MediaFacts, settings: MediaSettings) -> int:
    """Give where the chunk that begins at `start_s` ends: after `length_s`, or later if the next one began too dearly."""
    border = start_s + length_s
    for key_s, next_key_s in facts.long_gops:
        found_from, found_until = key_s + BEHIND_S, next_key_s + BEHIND_S
        if found_from <= border < found_until and border - key_s > _MOST_TWICE * (border - start_s):
            border = math.ceil(found_until / settings.segment_s) * settings.segment_s
    return border


def _run(args: Sequence[str], folder: Path, tools: Tools, watch: Callable[[Progress], None]) -> Completed:
    with blames_input():
        return run_ffmpeg(tools, args, cwd=folder, on_progress=watch)


def _times(piece: Path) -> FrameTimes | None:
    """Read the times of a piece; None when the source had no picture to show in its interval."""
    if not piece.exists() or not piece.stat().st_size:
        return None
    try:
        return frame_times(piece)
    except EncoderRejected:
        return None


def _span(facts: MediaFacts, chunk: Chunk) -> tuple[Fraction, Fraction | None]:
    """Give where a chunk begins and ends on the source's own clock."""
    zero = Fraction(facts.start_s)
    return zero + Fraction(chunk.start_s), None if chunk.end_s is None else zero + Fraction(chunk.end_s)


def _first_until_s(facts: MediaFacts, chunk: Chunk) -> Fraction | None:
    """Give the middle of the first picture where a whole recording may begin before its first keyframe; source clock."""
    if not chunk.is_whole or not facts.is_cuttable or facts.container not in SCANNED:
        return None
    return Fraction(facts.start_s) + 1 / (2 * facts.frame_rate)


def _interval(facts: MediaFacts, chunk: Chunk) -> str:
    # The border between two chunks is the same number in both, so each picture is in exactly one of them.
    begin, end = _span(facts, chunk)
    is_before_end = "1" if end is None else f"lt(t,{plain(end)})"
    if not chunk.index:
        return is_before_end
    # Each picture before the chunk, and the first one in it, is told to media/process.py, which watches and counts.
    return f"if(gte(t,{plain(begin)}),if(ld(0),1,st(0,print(1)))*{is_before_end},print(0))"
