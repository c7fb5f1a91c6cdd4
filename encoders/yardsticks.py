"""Makes the yardstick of an encoder: its background texts, and the curves that were fitted for its family."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from encoders import class_names
from encoders.catalog import BUNDLED
from encoders.confidence import Curve, Yardstick
from encoders.health import canary_frames
from encoders.protocol import Encoder

#: Refuses 68 % of absent things (41 of 60) and loses 8 % of right first hits (2 of 26) on the queries that it was
#: chosen on, and loses 17 % (6 of 35) of those that it was not: benchmarks/confidence.py prints the whole curves.
BUNDLED_TEXT: Final = Curve(cut=0.59, steepness=12.0)
#: Between frames of one thing (95 % above) and the nearest video of another thing (85 % below).
BUNDLED_PICTURE: Final = Curve(cut=0.72, steepness=12.0)
#: A right text stands three to four deviations above a picture's background texts, the best of many wrong ones two.
CHECKPOINT_TEXT: Final = Curve(cut=2.7, steepness=3.0)
CHECKPOINT_PICTURE: Final = Curve(cut=0.50, steepness=10.0)
#: Every so many-th class name: enough for a mean and a deviation, cheap for a large text tower.
EVERY: Final = 8


def yardstick_for(encoder: Encoder) -> Yardstick:
    """Encode the background; takes a second or so for a large text tower, so keep what it gives."""
    if encoder.spec.name == BUNDLED:
        # Its own class vectors, shifted as it shifts every text: nothing is encoded.
        names = class_names.load()
        texts = names - names.mean(axis=0)
        texts /= np.linalg.norm(texts, axis=1, keepdims=True)
        # Its origin is in the middle of all classes already.
        return Yardstick(texts, np.zeros(encoder.spec.dim), "reach", BUNDLED_TEXT, BUNDLED_PICTURE)
    pictures = encoder.encode_frames(canary_frames()).astype(np.float64)
    texts = encoder.encode_texts(background_texts())
    return Yardstick(texts, pictures.mean(axis=0), "margin", CHECKPOINT_TEXT, CHECKPOINT_PICTURE)


def background_texts() -> Sequence[str]:
    """List texts of things that a picture may show, most of which any one picture does not."""
    return [f"a photo of a {group[-1]}" for group in class_names.names()[::EVERY]]
