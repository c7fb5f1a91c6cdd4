"""What every encoder gives: vectors for pictures and for texts, in one space."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from core.values import EncoderSpec

if TYPE_CHECKING:
    from torch import Tensor

#: (n, height, width, 3), RGB, 0-255; any size, all of one call the same.
Frames = NDArray[np.uint8]
#: (n, dim) unit rows: cosine similarity is a dot product.
Vectors = NDArray[np.float32]


class Encoder(Protocol):
    """A network with a joint space of pictures and texts."""

    @property
    def spec(self) -> EncoderSpec:
        """Identity of the space; vectors of two specs never compare."""

    def preprocess(self, frames: Frames) -> "Tensor":
        """Give the network's input for these frames, on its device: (n, 3, height, width)."""

    def encode_frames(self, frames: Frames) -> Vectors:
        """Give one unit row a frame, in order; no frames give (0, dim).

        Raises:
            AcceleratorBusy: out of device memory at batch size 1 (transient).
        """

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Give one unit row a text, in order; no texts give (0, dim).

        Raises:
            AcceleratorBusy: out of device memory at batch size 1 (transient).
        """
