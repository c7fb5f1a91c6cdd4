"""all-MiniLM-L6-v2 in plain torch: a sentence in, a unit vector out.

transformers would do the same after 2.5 s more of imports, which every search of a fresh process would
wait for; a test holds this module against it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

WIDTH: Final = 384
LAYERS: Final = 6
HEADS: Final = 12
#: The sentence encoder was trained on at most this many word pieces (sentence_bert_config.json).
MAX_TOKENS: Final = 256
LAYER_NORM_EPS: Final = 1e-12
BATCH: Final = 64


class MiniLM:
    """The tokenizer and the six transformer layers; stateless after loading."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._device = device
        self._weights = {
            name.removeprefix("bert."): weight.to(device, torch.float32)
            for name, weight in load_file(folder / "model.safetensors").items()
            if weight.is_floating_point()
        }
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")  # noqa: S106 - a word piece, not a password

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give (n, 384) unit rows, in order; texts beyond 256 word pieces are cut there."""
        if not texts:
            return np.empty((0, WIDTH), np.float32)
        # Sentences of like length share a batch, so that little of it is padding.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        rows = np.empty((len(texts), WIDTH), np.float32)
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            rows[chosen] = self._encode_batch([texts[i] for i in chosen])
        return rows

    @torch.inference_mode()
    def _encode_batch(self, texts: list[str]) -> NDArray[np.float32]:
        encodings = self._tokenizer.encode_batch(texts)
        ids = torch.tensor([e.ids for e in encodings], device=self._device)
        mask = torch.tensor([e.attention_mask for e in encodings], device=self._device)
        hidden = self._embed(ids)
        for layer in range(LAYERS):
            hidden = self._layer(hidden, mask, f"encoder.layer.{layer}.")
        weight = mask[..., None].to(hidden.dtype)
        mean = (hidden * weight).sum(1) / weight.sum(1)
        rows: NDArray[np.float32] = functional.normalize(mean, dim=-1).cpu().numpy()
        return rows

    def _embed(self, ids: Tensor) -> Tensor:
        words = self._weights["embeddings.word_embeddings.weight"][ids]
        positions = self._weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        first_segment = self._weights["embeddings.token_type_embeddings.weight"][0]
        return self._norm(words + positions + first_segment, "embeddings.LayerNorm")

    def _layer(self, hidden: Tensor, mask: Tensor, name: str) -> Tensor:
        n, length, _ = hidden.shape
        query, key, value = (
            self._linear(hidden, f"{name}attention.self.{part}").view(n, length, HEADS, -1).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        seen = mask[:, None, None, :].bool()
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        attended = attended.transpose(1, 2).reshape(n, length, WIDTH)
        attended = self._linear(attended, f"{name}attention.output.dense")
        hidden = self._norm(attended + hidden, f"{name}attention.output.LayerNorm")
        inner = functional.gelu(self._linear(hidden, f"{name}intermediate.dense"))
        return self._norm(self._linear(inner, f"{name}output.dense") + hidden, f"{name}output.LayerNorm")

    def _linear(self, values: Tensor, name: str) -> Tensor:
        return functional.linear(values, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, values: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.layer_norm(values, (WIDTH,), weight, bias, LAYER_NORM_EPS)
