"""Join the chunks of a source into what players and the analysis read; nothing is encoded."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeVar

from core.errors import ObjectMissing
from core.settings import Settings, get_settings
from core.stages import Stage
from core.values import (
    Film,
    Proxy,
    Rendition,
    Rung,
    Sound,
    StoredFile,
    Ticket,
    Transcoded,
    ValidatedSource,
)
from media.assembly import FILM_NAME, Assembled
from media.assembly import assemble as join_pieces
from media.chunks import ChunkPieces
from media.hls import MASTER_NAME, Variant, master_playlist, media_playlist, playlist_name
from media.joining import mux
from media.ladder import proxy_size, rungs_for
from media.tools import find_tools
from media.transcode import PROXY
from storage import keys
from storage.client import object_store
from tasks import naming, scratch
from tasks.outputs import Outputs, outputs_of
from tasks.stage import stage_task
from tasks.transcoding import PLAYLIST_TYPE

T = TypeVar("T")

#: Said of a video whose sound is beyond decoding.
MUTE: Final = "The sound cannot be decoded: it was left out."


@stage_task(Stage.TRANSCODE, name=naming.transcode, task_run_name="assemble")
def assemble(ticket: Ticket, source: ValidatedSource, pieces: list[ChunkPieces], sound: Sound) -> Transcoded:
    """Join the pieces of all chunks; outputs that are in the store already are taken as they are.

    Raises:
        InvalidMedia: more of the video is damaged than the error budget allows (verdict).
        ObjectMissing: a piece was deleted meanwhile (permanent; a rerun makes it again).
    """
    settings = get_settings()
    known = outputs_of(settings, ticket)
    with scratch.working(ticket, "assembly") as folder:
        made = _joined(settings, ticket, source, pieces, folder) if pieces else None
        renditions = tuple(
            _rendition(settings, ticket, source, rung, made, known) for rung in rungs_for(source.facts, settings.media)
        )
        film = _film(settings, ticket, source, renditions[0], made, sound, known, folder)
        proxy, frames, duration_s, remarks = _proxy(settings, ticket, source, made, known)
        if source.facts.audio_codec is not None and sound.stream is None:
            remarks = (*remarks, MUTE)
        return Transcoded(
            fingerprint=naming.transcode(settings, ticket, source),
            duration_s=duration_s,
            frames=frames,
            renditions=renditions,
            proxy=proxy,
            sound=sound.stream,
            film=film,
            master=_master(settings, ticket, source, renditions, sound),
            degraded=tuple(dict.fromkeys(remarks)),
        )


def _joined(
    settings: Settings, ticket: Ticket, source: ValidatedSource, pieces: Sequence[ChunkPieces], folder: Path
) -> Assembled:
    names = {name for piece in pieces for name in piece.files}
    # The film is another copy of the largest rung.
    scratch.require_space(folder, 2 * sum(file.size_bytes for piece in pieces for file in piece.files.values()))
    in_order = sorted(pieces, key=lambda piece: piece.encoded.index)

    def pieces_of(name: str) -> Iterator[Path]:
        for piece in in_order:
            if name in piece.files:
                with scratch.passing_copy(ticket, piece.files[name]) as path:
                    yield path

    return join_pieces(
        [piece.encoded for piece in in_order],
        pieces_of,
        source.facts,
        [rung for rung in rungs_for(source.facts, settings.media) if rung.name in names],
        with_proxy=PROXY in names,
        limits=settings.limits,
        folder=folder,
        tools=find_tools(settings.media),
    )


def _put(ticket: Ticket, name: str, path: Path) -> StoredFile:
    key = keys.derived(ticket.video_id, Stage.TRANSCODE, name, ticket.attempt, path.name)
    return object_store(get_settings().storage).put(path, key, "video/mp4")


def _put_playlist(ticket: Ticket, name: str, file_name: str, text: str) -> StoredFile:
    key = keys.derived(ticket.video_id, Stage.TRANSCODE, name, ticket.attempt, file_name)
    return object_store(get_settings().storage).put_bytes(text.encode(), key, PLAYLIST_TYPE)


def _rendition(
    settings: Settings, ticket: Ticket, source: ValidatedSource, rung: Rung, made: Assembled | None, known: Outputs
) -> Rendition:
    name = naming.rendition(settings, ticket, source, rung)
    if made is None or rung.name not in made.rungs:
        return _there(known.rendition(name), f"rung {rung.name}")
    joined = made.rungs[rung.name]
    return Rendition(
        name=rung.name,
        width=rung.width,
        height=rung.height,
        fingerprint=name,
        codec=joined.codec,
        frame_rate=joined.frame_rate,
        file=_put(ticket, name, joined.path),
        playlist=_put_playlist(ticket, name, playlist_name(rung.name), media_playlist(joined.track)),
        average_bps=joined.track.average_bps,
        peak_bps=joined.track.peak_bps,
    )


def _film(
    settings: Settings,
    ticket: Ticket,
    source: ValidatedSource,
    largest: Rendition,
    made: Assembled | None,
    sound: Sound,
    known: Outputs,
    folder: Path,
) -> Film:
    name = naming.film(settings, ticket, source)
    if (film := known.film(name)) is not None:
        return film
    is_new = made is not None and largest.name in made.rungs
    pictures = made.rungs[largest.name].path if made and is_new else scratch.derived_copy(ticket, largest.file)
    heard = scratch.derived_copy(ticket, sound.stream.file) if sound.stream else None
    scratch.require_space(folder, largest.file.size_bytes + (sound.stream.file.size_bytes if sound.stream else 0))
    path = mux(pictures, heard, folder / FILM_NAME, find_tools(settings.media))
    return Film(fingerprint=name, file=_put(ticket, name, path))


def _proxy(
    settings: Settings, ticket: Ticket, source: ValidatedSource, made: Assembled | None, known: Outputs
) -> tuple[Proxy, int, Decimal, tuple[str, ...]]:
    """Give the proxy, and what was counted when it was made: pictures, seconds, remarks."""
    name = naming.proxy(settings, ticket, source)
    if made is None or made.proxy is None:
        proxy, then = _there(known.proxy(name), "the proxy")
        remarks = [remark for remark in then.degraded if remark != MUTE]
        return proxy, then.frames, then.duration_s, (*remarks, *(made.degraded if made else ()))
    width, height = proxy_size(source.facts, settings.media.proxy_short_side)
    file = _put(ticket, name, made.proxy)
    scratch.keep(ticket, made.proxy, file)  # everything after this reads it
    return Proxy(width=width, height=height, fingerprint=name, file=file), made.frames, made.duration_s, made.degraded


def _master(
    settings: Settings,
    ticket: Ticket,
    source: ValidatedSource,
    renditions: Sequence[Rendition],
    sound: Sound,
) -> StoredFile:
    variants = [
        Variant(made.name, made.average_bps, made.peak_bps, made.width, made.height, made.codec, made.frame_rate)
        for made in renditions
    ]
    audio = (sound.stream.average_bps, sound.stream.peak_bps) if sound.stream else None
    name = naming.transcode(settings, ticket, source)
    return _put_playlist(ticket, name, MASTER_NAME, master_playlist(variants, audio))


def _there(found: T | None, what: str) -> T:
    if found is None:
        raise ObjectMissing(f"The file of {what} was deleted while the video was assembled: rerun it.")
    return found
