"""Says no to an encoder that is quietly wrong, before its vectors reach the index.

Seen in the field: one vector for every picture, vectors of the wrong length, NaN from half precision. All of
them index and search without an error and find nothing.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import EncoderUnhealthy
from core.values import EncoderSpec
from encoders.protocol import Encoder, Frames, Vectors

#: Half precision keeps three digits; a row further from one was never normalised.
NORM_TOLERANCE: Final = 1e-2
#: Two frames differ when their thumbnails do by this much on average, out of 255.
DIFFERENT_LEVELS: Final = 12.0
#: Rows closer than this are the same vector: half precision alone moves them more.
SAME_COSINE: Final = 0.99999
#: Above this share of equal vectors among different frames, the encoder does not look at them.
MAX_DUPLICATE_RATE: Final = 0.5
#: Least mean variance per dimension times dim over unlike pictures: 1 for random directions, 0 for a constant.
MIN_VARIANCE: Final = 1e-3
#: Frames compared with one another, at most; enough to see a constant encoder, cheap for any length.
SAMPLE: Final = 32
#: Fewer stored vectors than this may well be of scenes that look the same.
LIBRARY: Final = 8
THUMBNAIL: Final = 8

#: Photographs from scikit-image, CC0 or public domain (chelsea, coffee, rocket, camera): (4, 112, 112, 3).
CANARY_FILE: Final = Path(__file__).with_name("canaries.npy")
CANARY_TEXTS: Final = ("a cat", "a cup of coffee", "a rocket", "a camera on a tripod")


def check_rows(spec: EncoderSpec, vectors: Vectors) -> None:
    """Hold any rows against the promise of the protocol: shape, finite, unit length.

    Raises:
        EncoderUnhealthy: they break it (permanent).
    """
    if vectors.ndim != 2 or vectors.shape[1] != spec.dim:  # noqa: PLR2004 - rows and columns
        raise _unhealthy(spec, f"it gives arrays of shape {vectors.shape}, not (n, {spec.dim})")
    if not np.isfinite(vectors).all():
        broken = int((~np.isfinite(vectors)).any(axis=1).sum())
        raise _unhealthy(spec, f"{broken} of {len(vectors)} vectors hold NaN or infinity")
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if len(norms) and (worst := float(np.abs(norms - 1).max())) > NORM_TOLERANCE:
        raise _unhealthy(spec, f"vector lengths are off by up to {worst:.3g}; they must be 1")


def check_frames(spec: EncoderSpec, frames: Frames, vectors: Vectors) -> None:
    """Hold the rows of these frames against the protocol and against the frames themselves.

    A still video rightly gives equal vectors, so only frames that differ to the eye are compared.

    Raises:
        EncoderUnhealthy: rows broken, or the same for frames that differ (permanent).
    """
    check_rows(spec, vectors)
    if len(frames) != len(vectors):
        raise _unhealthy(spec, f"it gives {len(vectors)} vectors for {len(frames)} frames")
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(SAMPLE, len(frames))).round().astype(int))
    if len(chosen) < 2:  # noqa: PLR2004 - a pair
        return
    pictures = np.stack([_thumbnail(frames[index]) for index in chosen])
    rows = vectors[chosen].astype(np.float64)
    differ = np.abs(pictures[:, None] - pictures[None]).mean(axis=-1) > DIFFERENT_LEVELS
    pairs = int(differ.sum())
    if not pairs:
        return
    rate = float((differ & (rows @ rows.T > SAME_COSINE)).sum() / pairs)
    if rate > MAX_DUPLICATE_RATE:
        raise _unhealthy(spec, f"{rate:.0%} of the pairs of different frames have the same vector")


def check_stored(spec: EncoderSpec, vectors: Vectors) -> None:
    """Hold a sample of a whole library's vectors, rounded to half precision, against what encoders give.

    Raises:
        EncoderUnhealthy: rows broken, one vector for most, or hardly any difference (permanent).
    """
    check_rows(spec, vectors)
    if len(vectors) < LIBRARY:
        return
    rate = float(np.unique(vectors, axis=0, return_counts=True)[1].max() / len(vectors))
    if rate > MAX_DUPLICATE_RATE:
        raise _unhealthy(spec, f"{rate:.0%} of its stored vectors are one and the same")
    _check_variance(spec, vectors)


def _check_variance(spec: EncoderSpec, vectors: Vectors) -> None:
    variance = float(vectors.var(axis=0).mean() * spec.dim)
    if variance < MIN_VARIANCE:
        raise _unhealthy(spec, f"its vectors of unlike pictures hardly differ (variance {variance:.2g})")


def check_encoder(encoder: Encoder, *, canaries: bool = True) -> None:
    """Try a fresh encoder on a few known pictures and texts.

    Args:
        canaries: also ask that every picture finds its own text among all; a network without training cannot.

    Raises:
        EncoderUnhealthy: broken, constant, or blind (permanent).
    """
    frames = canary_frames()
    pictures = encoder.encode_frames(frames)
    check_frames(encoder.spec, frames, pictures)
    _check_variance(encoder.spec, pictures)
    if not canaries:
        return
    texts = encoder.encode_texts(CANARY_TEXTS)
    check_rows(encoder.spec, texts)
    found = (texts @ pictures.T).argmax(axis=1)
    missed = [text for index, text in enumerate(CANARY_TEXTS) if found[index] != index]
    if missed:
        raise _unhealthy(encoder.spec, f"it does not find the picture of {' or '.join(missed)} among four")


def canary_frames() -> Frames:
    """Give the known pictures, which are as unlike as can be: (4, 112, 112, 3)."""
    frames: Frames = np.load(CANARY_FILE, allow_pickle=False)
    return frames


def _thumbnail(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Average the frame over an 8 x 8 grid, flattened; enough to tell frames apart."""
    height, width = (side - side % THUMBNAIL for side in frame.shape[:2])
    cells = frame[:height, :width].reshape(THUMBNAIL, height // THUMBNAIL, THUMBNAIL, width // THUMBNAIL, 3)
    means: NDArray[np.float32] = cells.mean(axis=(1, 3), dtype=np.float32).ravel()
    return means


def _unhealthy(spec: EncoderSpec, finding: str) -> EncoderUnhealthy:
    return EncoderUnhealthy(
        f"encoder {spec.name} ({spec.revision}) is not fit for the index: {finding}; "
        "check its weights, its preprocessing and the number format of this device"
    )
