"""The finished video from its chunks: one file per rung, the playlists, one MP4 with sound, and the proxy."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from core.errors import InvalidMedia
from core.settings import LimitSettings
from core.values import MediaFacts, Rung, seconds
from media.chunks import EncodedChunk
from media.hls import MASTER_NAME, Track, Variant, master_playlist, media_playlist, playlist_name, track_of
from media.joining import join, mux, rung_codec
from media.sound import AUDIO_NAME
from media.timing import frame_times
from media.tools import Tools
from media.transcode import PROXY_NAME, judge

#: The one file with pictures and sound, for players without HLS.
VIDEO_NAME: Final = "video.mp4"


@dataclass(frozen=True)
class Assembled:
    """The finished files, all in one folder; every playlist names its files relative to it."""

    frames: int
    #: Seconds from the first picture's beginning to the last one's end: what scenes must cover.
    duration_s: Decimal
    #: Video-only CMAF by the name of its rung, largest first.
    rungs: dict[str, Path]
    audio: Path | None
    #: Largest rung with sound; None when no rung was asked for.
    video: Path | None
    proxy: Path | None
    #: The master playlist first; empty when no rung was asked for.
    playlists: tuple[Path, ...]
    degraded: tuple[str, ...]


def assemble(
    chunks: Sequence[tuple[EncodedChunk, Path]],
    audio: Path | None,
    facts: MediaFacts,
    rungs: Sequence[Rung],
    *,
    limits: LimitSettings,
    folder: Path,
    tools: Tools,
) -> Assembled:
    """Join the pieces of all chunks (each with the folder it lies in) and write the playlists.

    Raises:
        InvalidMedia: more lost than the error budget allows, over all chunks (permanent).
        EncoderRejected: pieces that do not fit together (permanent).
    """
    present = [(chunk, where) for chunk, where in sorted(chunks, key=lambda pair: pair[0].index) if chunk.frames]
    if not present:
        raise InvalidMedia("damaged", "Not one picture of the video can be decoded.")
    joined = {
        rung.name: join([where / chunk.pieces[rung.name] for chunk, where in present], folder / f"{rung.name}.mp4")
        for rung in rungs
    }
    proxy = _proxy(present, folder, tools)
    times = frame_times(proxy or next(iter(joined.values())))
    duration = seconds(times.duration)
    lost, packets = sum(c.lost for c, _ in chunks), sum(c.packets for c, _ in chunks)
    remarks = judge(lost, packets, facts, times, limits)
    if facts.is_hdr and not tools.can_tone_map:
        remarks.append("The picture is HDR and this ffmpeg lacks zscale: colours look pale.")
    if facts.audio_codec is not None and audio is None:
        remarks.append("The sound cannot be decoded: it was left out.")
    if audio is not None and audio.parent != folder:
        audio = Path(shutil.copyfile(audio, folder / AUDIO_NAME))
    video = mux(next(iter(joined.values())), audio, folder / VIDEO_NAME, tools) if joined else None
    rate = (Decimal(len(times)) / duration).quantize(Decimal("0.001"))
    playlists = _playlists(joined, audio, rungs, rate, folder)
    return Assembled(len(times), duration, joined, audio, video, proxy, playlists, tuple(remarks))


def _proxy(present: Sequence[tuple[EncodedChunk, Path]], folder: Path, tools: Tools) -> Path | None:
    pieces = [where / chunk.proxy for chunk, where in present if chunk.proxy]
    if not pieces:
        return None
    fragments = join(pieces, folder / "proxy.fragments.mp4")
    # An ordinary MP4 has an index, and without one no scene can be sought.
    proxy = mux(fragments, None, folder / PROXY_NAME, tools)
    fragments.unlink()
    return proxy


def _playlists(
    joined: dict[str, Path], audio: Path | None, rungs: Sequence[Rung], rate: Decimal, folder: Path
) -> tuple[Path, ...]:
    if not joined:
        return ()
    sound = track_of(audio, "audio") if audio else None
    variants = [
        Variant(track_of(joined[r.name], r.name), r.width, r.height, rung_codec(joined[r.name]), rate) for r in rungs
    ]
    tracks: list[Track] = [*(v.track for v in variants), *([sound] if sound else [])]
    texts = {MASTER_NAME: master_playlist(variants, sound)}
    texts |= {playlist_name(track): media_playlist(track) for track in tracks}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return tuple(folder / name for name in texts)
