"""CLIP, SigLIP and SigLIP 2 checkpoints behind the encoder protocol, through transformers."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from core.errors import MissingDependency
from core.values import EncoderSpec
from encoders.batches import Batches
from encoders.checkpoint_files import Checkpoint
from encoders.protocol import Frames, Vectors

#: Where the search for the batch size begins; halved when the device has no memory for it.
FIRST_BATCH: Final = {"cpu": 8, "cuda": 256, "mps": 32}


class CheckpointEncoder:
    """A picture tower and a text tower with a joint space; safe to call from several threads."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> None:
        self._checkpoint = checkpoint
        self._device = device
        self._dtype = dtype
        self._frame_batches = Batches(FIRST_BATCH[device.type])
        self._text_batches = Batches(FIRST_BATCH[device.type])
        self._network, self._tokenizer = _load(checkpoint, device, dtype)

    @property
    def spec(self) -> EncoderSpec:
        """Identity of the space."""
        return self._checkpoint.spec

    def preprocess(self, frames: Frames) -> Tensor:
        """Prepare frames exactly as the checkpoint's own image processor does."""
        return self._checkpoint.preprocessing.apply(frames, self._device, self._dtype)

    def encode_frames(self, frames: Frames) -> Vectors:
        """Give one unit row a frame; see `Encoder.encode_frames`."""
        return self._frame_batches.run(len(frames), self.spec.dim, lambda chosen: self._forward(frames[chosen]))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Give one unit row a text; see `Encoder.encode_texts`."""
        return self._text_batches.run(len(texts), self.spec.dim, lambda chosen: self._forward_texts(texts[chosen]))

    @torch.inference_mode()
    def _forward(self, frames: Frames) -> Vectors:
        return _unit(self._network.get_image_features(pixel_values=self.preprocess(frames)))

    @torch.inference_mode()
    def _forward_texts(self, texts: Sequence[str]) -> Vectors:
        length = self._checkpoint.text_length
        if self._checkpoint.model_type == "siglip":
            # Trained on lower case, always padded to the full length, without a mask (its model card says so).
            tokens = self._tokenizer(
                [text.lower() for text in texts],
                padding="max_length",
                truncation=True,
                max_length=length,
                return_tensors="pt",
            )
            return _unit(self._network.get_text_features(input_ids=tokens["input_ids"].to(self._device)))
        tokens = self._tokenizer(list(texts), padding=True, truncation=True, max_length=length, return_tensors="pt")
        return _unit(self._network.get_text_features(**tokens.to(self._device)))


def _unit(output: Any) -> Vectors:
    features = output if isinstance(output, Tensor) else output.pooler_output
    rows: Vectors = functional.normalize(features.float(), dim=-1).cpu().numpy()
    return rows


def _load(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # it would be written among the worker's log lines
    # Tensors only and no code from the checkpoint: a model file must not be able to run anything.
    pinned: dict[str, Any] = {"revision": checkpoint.commit, "trust_remote_code": False}
    try:
        network = AutoModel.from_pretrained(checkpoint.source, use_safetensors=True, dtype=dtype, **pinned)
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.source, **pinned)
    except (OSError, ValueError) as error:
        raise MissingDependency(f"the checkpoint {checkpoint.source} cannot be loaded: {error}") from error
    return network.to(device).eval().requires_grad_(requires_grad=False), tokenizer
