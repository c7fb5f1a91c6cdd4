"""The config files of a checkpoint, from a folder or the hub, and what they say; no network is built."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core.errors import MissingDependency
from core.settings import EncoderSettings
from core.values import EncoderSpec
from encoders.processor import Preprocessing

#: Architectures with one picture tower and one text tower; SigLIP 2 of fixed resolution calls itself siglip.
MODEL_TYPES: Final = ("clip", "siglip")
#: What the config classes fill in for keys a config leaves out.
_CLIP_DIM, _SIGLIP_DIM = 512, 768
_TEXT_LENGTH: Final = {"clip": 77, "siglip": 64}
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
#: Begins a revision that was read from a folder's files.
FOLDER_REVISION: Final = "sha256:"
#: Blocks of each weights file that enter a folder's identity: retrained weights differ in nearly all of them.
_SAMPLES: Final = 64
_SAMPLE_BYTES: Final = 4096


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
    """Read the config files of the checkpoint that the settings name.

    Raises:
        MissingDependency: it is not there, not pinned, or of a kind that is not supported (permanent).
    """
    folder = Path(settings.name).expanduser()
    is_local = folder.is_dir()
    if not is_local and not _COMMIT.fullmatch(settings.revision or ""):
        raise MissingDependency(
            f"{settings.name} is no folder, so it is taken for a checkpoint on the hub: set DAILIES_ENCODER__REVISION "
            "to the full commit (40 hex digits) that you trust"
        )
    commit = None if is_local else settings.revision
    config = _read(settings.name, commit, "config.json")
    model_type = str(config.get("model_type") if config else None)
    if config is None or model_type not in MODEL_TYPES:
        raise MissingDependency(
            f"{settings.name} is not a checkpoint that can be used: its config.json says model_type {model_type!r}, "
            f"known are {' and '.join(MODEL_TYPES)}"
        )
    preprocessing = Preprocessing.read(model_type, _image_processor(settings.name, commit))
    revision = settings.revision or _folder_identity(folder)
    name = folder.resolve().name if is_local else settings.name
    spec = EncoderSpec(name=name, revision=revision, dim=_dim(model_type, config), preprocess=str(preprocessing))
    text = config.get("text_config") or {}
    length = int(text.get("max_position_embeddings", _TEXT_LENGTH[model_type]))
    return Checkpoint(str(folder) if is_local else name, commit, model_type, spec, preprocessing, length)


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


def _read(name: str, commit: str | None, file: str) -> dict[str, Any] | None:
    """Read one JSON file of the checkpoint; None when it has no such file."""
    path = Path(name).expanduser() / file if commit is None else _from_hub(name, commit, file)
    if path is None or not path.is_file():
        return None
    try:
        return dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise MissingDependency(f"{path} is not a JSON object: {error}") from error


def _from_hub(name: str, commit: str, file: str) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(name, file, revision=commit))
    except LocalEntryNotFoundError as error:  # neither in the cache nor on a hub that answers
        raise MissingDependency(
            f"{name} at {commit} is not on this machine and the hub does not answer; download it where the hub can be "
            "reached, and set DAILIES_ENCODER__NAME to its folder"
        ) from error
    except EntryNotFoundError:
        return None
    except (HFValidationError, HfHubHTTPError) as error:
        raise MissingDependency(f"the hub has no checkpoint {name} at {commit}: {error}") from error


def _folder_identity(folder: Path) -> str:
    """Name a folder by its content: config files whole, weights by their header and samples."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise MissingDependency(f"{folder} holds no .safetensors file; other formats can run code and are not read")
    seen = hashlib.sha256()
    for path in sorted(folder.glob("*.json")):
        seen.update(path.name.encode() + path.read_bytes())
    for path in weights:
        size = path.stat().st_size
        seen.update(f"{path.name}:{size}".encode())
        with path.open("rb") as file:
            for sample in range(_SAMPLES):
                file.seek(size * sample // _SAMPLES)
                seen.update(file.read(_SAMPLE_BYTES))
    return f"{FOLDER_REVISION}{seen.hexdigest()[:32]}"
