"""Vectors for what people search with, by the encoder that answers searches and no other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.settings import EncoderSettings
from encoders.catalog import spec_for
from models import Encoder
from service.errors import OtherEncoder


def require_same_space(active: Encoder, settings: EncoderSettings) -> None:
    """Check that the encoder we would ask gives vectors of the active space: spaces are never mixed.

    Raises:
        OtherEncoder: permanent.
    """
    ours = spec_for(settings)
    theirs = (active.name, active.revision, active.dim, active.preprocess)
    if theirs != (ours.name, ours.revision, ours.dim, ours.preprocess):
        raise OtherEncoder(
            f"Searches are answered by encoder {active.name} {active.revision}, but this service is configured for "
            f"{ours.name} {ours.revision}: set DAILIES_ENCODER__NAME and DAILIES_ENCODER__REVISION to the active one, "
            "or fill and activate the new one."
        )


def text_vector(settings: EncoderSettings, text: str) -> Sequence[float]:
    """Give a text's unit vector; the encoder is loaded when it is first asked for, and then kept.

    Raises:
        MissingDependency, EncoderUnhealthy: permanent. AcceleratorBusy: transient.
    """
    # Imported here and below: a service that is never asked for a scene never loads a network.
    from encoders.load import load

    vector: list[float] = load(settings).encode_texts([text])[0].tolist()
    return vector


def picture_vector(settings: EncoderSettings, pixels: NDArray[np.uint8]) -> Sequence[float]:
    """Give the unit vector of a picture, (height, width, 3) in RGB; errors as `text_vector`."""
    from encoders.load import load

    vector: list[float] = load(settings).encode_frames(pixels[np.newaxis])[0].tolist()
    return vector
