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
from core.stages import STAGE_VERSION, Stage
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


def validated(settings: Settings, source: SourceVersion, generation: int = 0) -> str:
    """Name the verdict on one source version under these limits."""
    inputs = [source.bucket, source.key, source.version]
    return _stage(Stage.VALIDATE, generation, inputs, settings.limits.model_dump(mode="json"))


def rendition(settings: Settings, sha256: str, rung: Rung, generation: int = 0) -> str:
    """Name one rendition; other rungs do not enter."""
    media = settings.media.model_dump(mode="json", include={"encoder", "preset", "segment_s"})
    return _stage(Stage.TRANSCODE, generation, [sha256], {**media, "rung": rung.model_dump(mode="json")})


def proxy(settings: Settings, sha256: str, generation: int = 0) -> str:
    """Name the analysis proxy; no rung enters."""
    media = settings.media.model_dump(mode="json", include={"proxy_short_side"})
    return _stage(Stage.TRANSCODE, generation, [sha256], media)


def sound(settings: Settings, sha256: str, generation: int = 0) -> str:
    """Name the sound; no rung enters."""
    media = settings.media.model_dump(mode="json", include={"segment_s", "audio_bitrate_kbps"})
    return _stage(Stage.TRANSCODE, generation, [sha256], media)


def film(rendition_fingerprint: str, sound_fingerprint: str) -> str:
    """Name the one file that holds the pictures of a rung and the sound."""
    return digest({"stage": Stage.TRANSCODE, "film": [rendition_fingerprint, sound_fingerprint]})


def chunk(outputs: Sequence[str], start_s: Decimal, end_s: Decimal | None) -> str:
    """Name the pieces of one chunk by the outputs they are pieces of; media time, half-open [start_s, end_s)."""
    span = [seconds(start_s), None if end_s is None else seconds(end_s)]
    return digest({"stage": Stage.TRANSCODE, "outputs": sorted(outputs), "span": span})


def transcoded(outputs: Sequence[str]) -> str:
    """Name a set of outputs by their own fingerprints."""
    return digest({"stage": Stage.TRANSCODE, "outputs": sorted(outputs)})


def shots(settings: Settings, proxy_fingerprint: str, generation: int = 0) -> str:
    """Name the shots and scenes found on one proxy."""
    return _stage(Stage.SHOTS, generation, [proxy_fingerprint], settings.shots.model_dump(mode="json"))


def stills(settings: Settings, proxy_fingerprint: str, shots_fingerprint: str, generation: int = 0) -> str:
    """Name the posters and the contact sheet of one set of scenes."""
    inputs = [proxy_fingerprint, shots_fingerprint]
    return _stage(Stage.STILLS, generation, inputs, settings.stills.model_dump(mode="json"))


def embedded(
    settings: Settings, encoder: EncoderSpec, proxy_fingerprint: str, shots_fingerprint: str, generation: int = 0
) -> str:
    """Name the vectors one encoder gives to one set of scenes; the device does not enter."""
    facts = {**encoder.model_dump(mode="json"), "frames_per_scene": settings.encoder.frames_per_scene}
    return _stage(Stage.EMBED, generation, [proxy_fingerprint, shots_fingerprint], facts)
