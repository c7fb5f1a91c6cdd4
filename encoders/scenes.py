"""From frames to one vector per scene."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from core.errors import EncoderUnhealthy
from encoders import health
from encoders.protocol import Encoder, Frames, Vectors


def embed(encoder: Encoder, batches: Iterable[tuple[Frames, NDArray[np.int64]]], scenes: int) -> Vectors:
    """Give each scene the normalised mean of its frames' vectors.

    Args:
        batches: frames and the index of the scene each belongs to; read once, so memory stays flat.
        scenes: their number; every one must have a frame.
    Returns:
        (scenes, encoder.spec.dim) unit rows.
    Raises:
        EncoderUnhealthy: vectors are broken or the same for different frames; a scene got no frame, or no
            direction (permanent).
        AcceleratorBusy: out of device memory at batch size 1 (transient).
    """
    sums = np.zeros((scenes, encoder.spec.dim), np.float64)
    counts = np.zeros(scenes, np.int64)
    for frames, owners in batches:
        vectors = encoder.encode_frames(frames)
        health.check_frames(encoder.spec, frames, vectors)
        np.add.at(sums, owners, vectors)
        np.add.at(counts, owners, 1)
    if not counts.all():
        raise EncoderUnhealthy(f"No frame was read for scene {int(np.argmin(counts))} of {scenes}.")
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths)) or np.any(lengths == 0):
        raise EncoderUnhealthy("The vectors of a scene's frames cancel one another out or are not numbers.")
    pooled: Vectors = (sums / lengths).astype(np.float32)
    return pooled
