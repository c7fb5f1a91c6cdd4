"""Fingerprints: the name of a result, derived from everything that changes it and nothing else.

A stage whose fingerprint is already in the store is not run again, whichever way the run comes back.
Fetching is named by the source version; everything after it starts from the content's sha256, so the
same bytes validated under other limits reuse their renditions.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from core.settings import Settings
from core.stages import SOUND_VERSION, STAGE_VERSION, Stage
from core.values import EncoderSpec, Rung, SourceVersion, seconds

#: Hex digits kept of a sha256: 128 bits.
DIGITS = 32


def digest(facts: Mapping[str, Any]) -> str:
    """Hash a mapping of plain values, whatever its order."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _stage(stage: Stage, generation: int, inputs: Sequence[str], settings: Mapping[str, Any]) -> str:
    return digest(
        {
            "stage": stage,
            "version": STAGE_VERSION[stage],
            "generation": generation,
            "inputs": list(inputs),
            "settings": dict(settings),
        }
    )


def _rendition_settings(settings: Settings) -> dict[str, Any]:
    return settings.media.model_dump(mode="json", include={"encoder", "preset", "segment_s"})


def _proxy_settings(settings: Settings) -> dict[str, Any]:
    return settings.media.model_dump(mode="json", include={"proxy_short_side"})


def _sound_settings(settings: Settings) -> dict[str, Any]:
    chosen = settings.media.model_dump(mode="json", include={"segment_s", "audio_bitrate_kbps"})
    return {**chosen, "sound_version": SOUND_VERSION}


def _shot_settings(settings: Settings) -> dict[str, Any]:
    return settings.shots.model_dump(mode="json", exclude={"device"})


def _embed_settings(settings: Settings, encoder: EncoderSpec) -> dict[str, Any]:
    return {**encoder.model_dump(mode="json"), "frames_per_scene": settings.encoder.frames_per_scene}


def validated(settings: Settings, source: SourceVersion, generation: int = 0) -> str:
    """Name the verdict on one source version under these limits."""
    inputs = [source.bucket, source.key, source.version]
    return _stage(Stage.VALIDATE, generation, inputs, settings.limits.model_dump(mode="json"))


def rendition(settings: Settings, sha256: str, rung: Rung, generation: int = 0) -> str:
    """Name one rendition; other rungs do not enter."""
    facts = {**_rendition_settings(settings), "rung": rung.model_dump(mode="json")}
    return _stage(Stage.TRANSCODE, generation, [sha256], facts)


def proxy(settings: Settings, sha256: str, generation: int = 0) -> str:
    """Name the analysis proxy; no rung enters."""
    return _stage(Stage.TRANSCODE, generation, [sha256], _proxy_settings(settings))


def sound(settings: Settings, sha256: str, generation: int = 0) -> str:
    """Name the sound; no rung enters."""
    return _stage(Stage.TRANSCODE, generation, [sha256], _sound_settings(settings))


def film(rendition_fingerprint: str, sound_fingerprint: str) -> str:
    """Name the one file that holds the pictures of a rung and the sound."""
    return digest({"stage": Stage.TRANSCODE, "film": [rendition_fingerprint, sound_fingerprint]})


def chunk(outputs: Sequence[str], start_s: Decimal, end_s: Decimal | None, ffmpeg_version: str) -> str:
    """Name the pieces of one chunk by the outputs they are pieces of; media time, half-open [start_s, end_s).

    The version enters, other than for whole outputs, because pieces of two versions may not fit together.
    """
    span = [seconds(start_s), None if end_s is None else seconds(end_s)]
    return digest({"stage": Stage.TRANSCODE, "outputs": sorted(outputs), "span": span, "ffmpeg": ffmpeg_version})


def transcoded(outputs: Sequence[str]) -> str:
    """Name a set of outputs by their own fingerprints."""
    return digest({"stage": Stage.TRANSCODE, "outputs": sorted(outputs)})


def shots(settings: Settings, proxy_fingerprint: str, generation: int = 0) -> str:
    """Name the shots and scenes found on one proxy; the device does not enter."""
    return _stage(Stage.SHOTS, generation, [proxy_fingerprint], _shot_settings(settings))


def stills(settings: Settings, proxy_fingerprint: str, shots_fingerprint: str, generation: int = 0) -> str:
    """Name the posters and the contact sheet of one set of scenes."""
    inputs = [proxy_fingerprint, shots_fingerprint]
    return _stage(Stage.STILLS, generation, inputs, settings.stills.model_dump(mode="json"))


def embedded(
    settings: Settings, encoder: EncoderSpec, proxy_fingerprint: str, shots_fingerprint: str, generation: int = 0
) -> str:
    """Name the vectors one encoder gives to one set of scenes; the device does not enter."""
    inputs = [proxy_fingerprint, shots_fingerprint]
    return _stage(Stage.EMBED, generation, inputs, _embed_settings(settings, encoder))


class Recipes:
    """How each stage is done today, whatever the video: two videos of one recipe need nothing done.

    A recipe is named like a fingerprint with the recipes of what it reads in place of their fingerprints, so a change
    of the proxy makes everything that hangs on it stale, and a new rung makes the transcode stale and nothing else.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._proxy = _stage(Stage.TRANSCODE, 0, [], _proxy_settings(settings))
        shots = _stage(Stage.SHOTS, 0, [self._proxy], _shot_settings(settings))
        stills = _stage(Stage.STILLS, 0, [self._proxy, shots], settings.stills.model_dump(mode="json"))
        ladder = settings.media.model_dump(mode="json", include={"ladder", "crf"})
        transcode = {**_rendition_settings(settings), **_sound_settings(settings), **ladder}
        self._fixed = {
            Stage.VALIDATE: _stage(Stage.VALIDATE, 0, [], settings.limits.model_dump(mode="json")),
            Stage.TRANSCODE: _stage(Stage.TRANSCODE, 0, [self._proxy], transcode),
            Stage.SHOTS: shots,
            Stage.STILLS: stills,
            Stage.PUBLISH: _stage(Stage.PUBLISH, 0, [], {}),
        }

    def of(self, stage: Stage) -> str:
        """Name how a stage is done; embedding has one recipe a space."""
        return self._fixed[stage]

    def of_space(self, encoder: EncoderSpec) -> str:
        """Name how a space's vectors are made."""
        return _stage(Stage.EMBED, 0, [self._proxy, self._fixed[Stage.SHOTS]], _embed_settings(self._settings, encoder))
