"""Vectors for what people search with, by the encoder that answers searches and no other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import MissingDependency
from core.settings import EncoderSettings
from core.values import EncoderSpec
from encoders.catalog import settings_for
from models import Encoder
from service.errors import OtherEncoder


def settings_of(active: Encoder, own: EncoderSettings) -> EncoderSettings:
    """Say how to load the encoder of the active space, whichever one this service is set to: spaces are never mixed.

    Raises:
        OtherEncoder: it is not on this machine (permanent).
    """
    try:
        return settings_for(active.spec, active.source, own)
    except MissingDependency as error:
        raise OtherEncoder(str(error)) from error


def text_vector(settings: EncoderSettings, space: EncoderSpec, text: str) -> Sequence[float]:
    """Give a text's unit vector; the encoder is loaded when it is first asked for, and then kept.

    Args:
        settings: how the encoder is loaded.
        space: the one whose vectors it is compared with; an encoder of any other is refused.

    Raises:
        MissingDependency, EncoderUnhealthy: permanent. AcceleratorBusy: transient.
    """
    # Imported here and below: a service that is never asked for a scene never loads a network.
    from encoders.load import load

    vector: list[float] = load(settings, space).encode_texts([text])[0].tolist()
    return vector


def picture_vector(settings: EncoderSettings, space: EncoderSpec, pixels: NDArray[np.uint8]) -> Sequence[float]:
    """Give the unit vector of a picture, (height, width, 3) in RGB; arguments and errors as `text_vector`."""
    from encoders.load import load

    vector: list[float] = load(settings, space).encode_frames(pixels[np.newaxis])[0].tolist()
    return vector
