"""The config files of a checkpoint, from a folder or the hub, and what they say; no network is built."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from core.errors import MissingDependency
from core.settings import EncoderSettings
from core.values import EncoderSpec
from encoders.folder_identity import Stamp, folder_revision, stamp_of
from encoders.hub import CONFIG, hub_file
from encoders.processor import Preprocessing

#: Architectures with one picture tower and one text tower; SigLIP 2 of fixed resolution calls itself siglip.
MODEL_TYPES: Final = ("clip", "siglip")
#: What the config classes fill in for keys a config leaves out.
_CLIP_DIM, _SIGLIP_DIM = 512, 768
_TEXT_LENGTH: Final = {"clip": 77, "siglip": 64}
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
#: Checkpoints whose files are remembered: a search must not read them again.
_KEPT: Final = 16


@dataclass(frozen=True)
class Checkpoint:
    """What the config files say.

    Attributes:
        source: folder or hub id, as transformers takes it.
        commit: commit on the hub; None for a folder.
        spec: identity of its space.
        text_length: word pieces a text is cut to.
    """

    source: str
    commit: str | None
    model_type: str
    spec: EncoderSpec
    preprocessing: Preprocessing
    text_length: int


def read_checkpoint(settings: EncoderSettings) -> Checkpoint:
    """Read the config files of the checkpoint that the settings name; again only when they may have changed.

    Raises:
        MissingDependency: it is not there, not pinned, or of a kind that is not supported (permanent).
    """
    folder = Path(settings.name).expanduser()
    if folder.is_dir():
        return of_folder(folder, stamp_of(folder))
    if not _COMMIT.fullmatch(settings.revision or ""):
        raise MissingDependency(
            f"{settings.name} is no folder, so it is taken for a checkpoint on the hub: set DAILIES_ENCODER__REVISION "
            "to the full commit (40 hex digits) that you trust"
        )
    return of_hub(settings.name, str(settings.revision))


@lru_cache(maxsize=_KEPT)
def of_folder(folder: Path, _stamp: Stamp) -> Checkpoint:
    """Read a folder as it is while it bears this stamp."""
    # Whatever revision the settings name: only the content says which weights these are.
    return _checkpoint(str(folder), None, folder.resolve().name)


@lru_cache(maxsize=_KEPT)
def of_hub(name: str, commit: str) -> Checkpoint:
    """Read a commit of the hub, which never changes."""
    return _checkpoint(name, commit, name)


def _checkpoint(source: str, commit: str | None, name: str) -> Checkpoint:
    config = _read(source, commit, CONFIG)
    model_type = str(config.get("model_type") if config else None)
    if config is None or model_type not in MODEL_TYPES:
        raise MissingDependency(
            f"{source} is not a checkpoint that can be used: its config.json says model_type {model_type!r}, "
            f"known are {' and '.join(MODEL_TYPES)}"
        )
    preprocessing = Preprocessing.read(model_type, _image_processor(source, commit))
    revision = commit or folder_revision(Path(source))
    spec = EncoderSpec(name=name, revision=revision, dim=_dim(model_type, config), preprocess=str(preprocessing))
    text = config.get("text_config") or {}
    length = int(text.get("max_position_embeddings", _TEXT_LENGTH[model_type]))
    return Checkpoint(source, commit, model_type, spec, preprocessing, length)


def _dim(model_type: str, config: Mapping[str, Any]) -> int:
    if model_type == "clip":
        return int(config.get("projection_dim", _CLIP_DIM))
    return int((config.get("vision_config") or {}).get("hidden_size", _SIGLIP_DIM))


def _image_processor(name: str, commit: str | None) -> Mapping[str, Any]:
    """Read the image processor's config: newer checkpoints keep it inside the whole processor's."""
    whole = _read(name, commit, "processor_config.json") or {}
    own = whole.get("image_processor") or _read(name, commit, "preprocessor_config.json")
    if not own:
        raise MissingDependency(f"{name} has no preprocessor_config.json: how its pictures are prepared is unknown")
    return dict(own)


def _read(source: str, commit: str | None, file: str) -> dict[str, Any] | None:
    """Read one JSON file of the checkpoint; None when it has no such file."""
    path = Path(source) / file if commit is None else hub_file(source, commit, file)
    if path is None or not path.is_file():
        return None
    try:
        return dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise MissingDependency(f"{path} is not a JSON object: {error}") from error
