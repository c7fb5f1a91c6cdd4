"""What is learned from the proxy: shots, stills and vectors; none of it reads the source."""

import io
import time
from decimal import Decimal
from pathlib import Path

import numpy as np

from core.errors import EncoderRejected
from core.settings import EncoderSettings, get_settings
from core.stages import Stage
from core.values import DetectedShots, Embedded, Stills, StoredFile, Ticket, Transcoded
from encoders.catalog import spec_for
from media import stills as still_images
from media.likeness import continued_starts
from media.scenes import scenes_from
from media.shots import detect_shots as find_shots
from media.storyboard import storyboard
from media.telling import telling_frames
from media.tools import find_tools
from storage import keys
from storage.client import object_store
from tasks import naming, scratch
from tasks.stage import stage_task


def _whole(transcoded: Transcoded, **_: object) -> Decimal:
    return transcoded.duration_s


@stage_task(Stage.SHOTS, name=naming.shots, media_s=_whole, task_run_name="detect shots")
def detect_shots(ticket: Ticket, transcoded: Transcoded) -> DetectedShots:
    """Find the cuts on the proxy and merge shots into scenes that cover the whole video."""
    settings = get_settings()
    tools = find_tools(settings.media)
    proxy = scratch.derived_copy(ticket, transcoded.proxy.file)
    shots = find_shots(proxy, settings.shots, tools)
    scenes = scenes_from(
        shots,
        transcoded.duration_s,
        min_scene_s=settings.shots.min_scene_s,
        max_scene_s=settings.shots.max_scene_s,
        continued=continued_starts(proxy, shots, settings.shots.merge_likeness, tools),
    )
    return DetectedShots(fingerprint=naming.shots(settings, ticket, transcoded), shots=shots, scenes=scenes)


@stage_task(Stage.STILLS, name=naming.stills, media_s=_whole, task_run_name="make posters and contact sheet")
def make_stills(ticket: Ticket, transcoded: Transcoded, detected: DetectedShots) -> Stills:
    """Make a poster per scene, the contact sheet and the storyboard; what cannot be had is noted, never an error."""
    settings = get_settings()
    name = naming.stills(settings, ticket, transcoded, detected)
    proxy = scratch.derived_copy(ticket, transcoded.proxy.file)
    folder = scratch.work_folder(ticket, "stills")
    tools = find_tools(settings.media)
    posters = still_images.posters(proxy, detected.scenes, settings.stills, folder, tools)
    sheet = still_images.contact_sheet(posters, detected.scenes, settings.stills, folder / "contact-sheet.jpg")

    def keep(path: Path) -> StoredFile:
        key = keys.derived(ticket.video_id, Stage.STILLS, name, ticket.attempt, path.name)
        kind = "text/vtt" if path.suffix == ".vtt" else "image/jpeg"
        return object_store(settings.storage).put(path, key, kind)

    missing = sum(poster is None for poster in posters)
    degraded = [f"{missing} of {len(posters)} scenes have no poster."] if missing else []
    tiles: tuple[Path, ...] = ()
    try:
        tiles = storyboard(proxy, folder, tools)
    except EncoderRejected as error:
        degraded.append(f"There is no storyboard: {error}")
    return Stills(
        fingerprint=name,
        posters=tuple(poster and keep(poster) for poster in posters),
        contact_sheet=keep(sheet),
        storyboard={path.name: keep(path) for path in tiles},
        degraded=tuple(degraded),
    )


@stage_task(Stage.EMBED, name=naming.embed, media_s=_whole, task_run_name="embed scenes by {encoder.name}")
def embed_scenes(ticket: Ticket, transcoded: Transcoded, detected: DetectedShots, encoder: EncoderSettings) -> Embedded:
    """Give each scene one unit vector, the mean over those of its frames that show something.

    Raises:
        EncoderUnhealthy: the vectors fail their health check (permanent).
        MissingDependency: the encoder is not here, or was replaced meanwhile (permanent).
        AcceleratorBusy: no memory left on the device (transient).
    """
    # Imported here: a process that embeds nothing never loads a network.
    from encoders.load import load
    from encoders.scenes import embed

    began = time.monotonic()
    settings = get_settings()
    spec = spec_for(encoder)
    name = naming.embed(settings, ticket, transcoded, detected, encoder)
    network = load(encoder, spec)
    proxy = scratch.derived_copy(ticket, transcoded.proxy.file)
    frames = telling_frames(proxy, detected.scenes, encoder.frames_per_scene, find_tools(settings.media))
    vectors = embed(network, frames, len(detected.scenes))
    key = keys.derived(ticket.video_id, Stage.EMBED, name, ticket.attempt, "vectors.npy")
    stored = object_store(settings.storage).put_bytes(_npy(vectors), key, "application/octet-stream")
    return Embedded(fingerprint=name, encoder=spec, vectors=stored, took_s=time.monotonic() - began)


def _npy(vectors: "np.typing.NDArray[np.float32]") -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    return buffer.getvalue()
