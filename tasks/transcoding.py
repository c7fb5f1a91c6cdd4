"""Encode a source in chunks, each a task with a result of its own, and its sound once."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

from prefect import task
from prefect.cache_policies import NO_CACHE

from core import faults
from core.settings import MediaSettings, Settings, get_settings
from core.stages import Part, Stage
from core.values import Sound, Stream, Ticket, ValidatedSource
from media.chunks import ChunkPieces, PlannedChunk, chunks_for, encode_chunk, most_bytes
from media.cores import cores_for
from media.hls import AUDIO, media_playlist, track_of
from media.ladder import rungs_for
from media.sound import encode_audio
from media.tools import Tools, find_tools
from models.ledger import Share
from storage import keys
from storage.client import object_store
from tasks import naming, scratch
from tasks.outputs import outputs_of
from tasks.progress import told
from tasks.retries import JITTER, STORES, is_transient
from tasks.stage import OfStage, current_entry, stage_task

PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"


def chunks_at_once(settings: MediaSettings) -> int:
    """Say how many chunks of one run are encoded at a time; two at least, so that one's end leaves no cores idle."""
    return max(2, cores_for(settings) // 4)


@task(
    name="plan",
    task_run_name="plan chunks",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=STORES.retries,
    retry_delay_seconds=STORES.delays_s,
    retry_jitter_factor=JITTER,
    retry_condition_fn=is_transient,
)
@OfStage(Stage.TRANSCODE)
def plan_chunks(ticket: Ticket, source: ValidatedSource) -> tuple[PlannedChunk, ...]:
    """Say which chunks are to be encoded, and to which outputs; none when every output is in the store."""
    settings = get_settings()
    known = outputs_of(settings, ticket)
    rungs = tuple(
        rung
        for rung in rungs_for(source.facts, settings.media)
        if known.rendition(naming.rendition(settings, ticket, source, rung)) is None
    )
    with_proxy = known.proxy(naming.proxy(settings, ticket, source)) is None
    faults.reached("plan", faults.Moment.BEFORE, ticket.video_id)
    chunks = chunks_for(source.facts, settings.media) if rungs or with_proxy else ()
    faults.reached("plan", faults.Moment.AFTER, ticket.video_id)
    version = find_tools(settings.media).version if chunks else ""
    return tuple(
        PlannedChunk(**chunk.model_dump(), rungs=rungs, with_proxy=with_proxy, ffmpeg_version=version)
        for chunk in chunks
    )


def _share(source: ValidatedSource, chunk: PlannedChunk, **_: object) -> Share:
    return Share(f"{Part.CHUNK} {chunk.index}", chunk.length_s(source.facts))


@stage_task(
    Stage.TRANSCODE,
    part=Part.CHUNK,
    share=_share,
    name=naming.chunk,
    task_run_name="transcode chunk {chunk.index}",
)
def transcode_chunk(ticket: Ticket, source: ValidatedSource, chunk: PlannedChunk) -> ChunkPieces:
    """Make the pieces of one chunk and store them.

    Raises:
        InvalidMedia: what cannot be decoded at all (verdict).
        EncoderKilled, EncoderStalled, ScratchFull: transient.  EncoderRejected: permanent.
    """
    settings = get_settings()
    original, _ = scratch.source_copy(ticket, source.sha256)
    with scratch.working(ticket, f"chunk-{chunk.index}") as folder:
        scratch.require_space(folder, most_bytes(chunk, source.facts))
        with told(ticket, current_entry(), _share(source, chunk)) as on_progress:
            encoded = encode_chunk(
                original,
                source.facts,
                chunk,
                chunk.rungs,
                with_proxy=chunk.with_proxy,
                settings=settings.media,
                limits=settings.limits,
                folder=folder,
                tools=_tools(settings, chunk),
                on_progress=on_progress,
            )
        name = naming.chunk(settings, ticket, source, chunk)
        store = object_store(settings.storage)
        files = {}
        for rung, file in encoded.pieces.items():
            key = keys.derived(ticket.video_id, Part.CHUNK, name, ticket.attempt, file)
            files[rung] = store.put(folder / file, key, "video/mp4")
            if chunk.is_whole:  # of a longer source, pieces are fetched one by one: scratch stays small
                scratch.keep(ticket, folder / file, files[rung])
    return ChunkPieces(fingerprint=name, encoded=encoded, files=files)


@stage_task(
    Stage.TRANSCODE,
    part=Part.SOUND,
    share=lambda **_: Share(Part.SOUND),
    # Not of the share: progress adds those up, and the pictures are all of it.
    media_s=lambda source, **_: source.facts.duration_s if source.facts.audio_codec else None,
    name=naming.sound,
    task_run_name="encode sound",
)
def encode_sound(ticket: Ticket, source: ValidatedSource) -> Sound:
    """Encode the sound of the whole source once and store it with its playlist.

    Raises:
        EncoderKilled, EncoderStalled, ScratchFull: transient.  EncoderRejected: permanent.
    """
    settings = get_settings()
    name = naming.sound(settings, ticket, source)
    if source.facts.audio_codec is None:
        return Sound(fingerprint=name)
    original, _ = scratch.source_copy(ticket, source.sha256)
    with scratch.working(ticket, Part.SOUND) as folder:
        made = encode_audio(
            original,
            source.facts,
            settings=settings.media,
            limits=settings.limits,
            folder=folder,
            tools=find_tools(settings.media),
        )
        return Sound(fingerprint=name, stream=made and _stored(ticket, name, made))


def _stored(ticket: Ticket, name: str, path: Path) -> Stream:
    store = object_store(get_settings().storage)
    track = track_of(path, AUDIO)
    key = keys.derived(ticket.video_id, Part.SOUND, name, ticket.attempt, path.name)
    file = store.put(path, key, "audio/mp4")
    scratch.keep(ticket, path, file)
    playlist = keys.derived(ticket.video_id, Part.SOUND, name, ticket.attempt, f"{AUDIO}.m3u8")
    return Stream(
        fingerprint=name,
        file=file,
        playlist=store.put_bytes(media_playlist(track).encode(), playlist, PLAYLIST_TYPE),
        average_bps=track.average_bps,
        peak_bps=track.peak_bps,
    )


def _tools(settings: Settings, chunk: PlannedChunk) -> Tools:
    """Share the cores between the chunks that are encoded side by side; a whole source has them all."""
    tools, cores = find_tools(settings.media), cores_for(settings.media)
    if tools.threads:
        return tools
    if not chunk.is_whole:
        return replace(tools, threads=max(1, cores // chunks_at_once(settings.media)))
    # ffmpeg knows no quota: it chooses for itself only where the whole machine is ours.
    return tools if cores == os.cpu_count() else replace(tools, threads=cores)
