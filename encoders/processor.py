"""A checkpoint's own preprocessing, read from its config and done on whole batches in torch.

The checkpoint's image processor goes picture by picture through Pillow, eight times slower; a test holds
this module against it, pixel by pixel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from core.errors import MissingDependency
from encoders.protocol import Frames

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: PIL.Image.Resampling by value, as configs write it; the others are used by no such checkpoint.
RESAMPLING: Final = {2: "bilinear", 3: "bicubic"}
_CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)
#: What the processor class fills in for keys its config leaves out.
_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "clip": {
        "size": {"shortest_edge": 224},
        "crop_size": {"height": 224, "width": 224},
        "do_center_crop": True,
        "image_mean": _CLIP_MEAN,
        "image_std": _CLIP_STD,
    },
    "siglip": {
        "size": {"height": 224, "width": 224},
        "crop_size": None,
        "do_center_crop": False,
        "image_mean": (0.5, 0.5, 0.5),
        "image_std": (0.5, 0.5, 0.5),
    },
}
_CHANNELS: Final = 3


@dataclass(frozen=True)
class Preprocessing:
    """Resize, crop, scale and normalise, in this order; a step that is off is None or neutral.

    Attributes:
        shortest_edge: short side after resizing, aspect kept; None: `size` says both sides.
        size: (height, width) after resizing, aspect ignored.
        crop: (height, width) cut from the middle.
    """

    shortest_edge: int | None
    size: tuple[int, int] | None
    resampling: str
    crop: tuple[int, int] | None
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def read(cls, model_type: str, config: Mapping[str, Any]) -> Self:
        """Read an image processor's config.

        Raises:
            MissingDependency: it asks for a step that is not known here (permanent).
        """
        facts: dict[str, Any] = {
            "do_resize": True,
            "resample": 3,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
        }
        facts |= _DEFAULTS[model_type] | {key: value for key, value in config.items() if value is not None}
        if facts["resample"] not in RESAMPLING:
            raise MissingDependency(f"the checkpoint's image processor resamples by method {facts['resample']}")
        if facts.get("do_pad"):
            raise MissingDependency("the checkpoint's image processor pads its pictures")
        shortest_edge, size = (
            _size(facts["size"], is_square=model_type != "clip") if facts["do_resize"] else (None, None)
        )
        crop = _size(facts["crop_size"], is_square=True)[1] if facts["do_center_crop"] else None
        return cls(
            shortest_edge=shortest_edge,
            size=size,
            resampling=RESAMPLING[facts["resample"]],
            crop=crop,
            scale=float(facts["rescale_factor"]) if facts["do_rescale"] else 1.0,
            mean=_triple(facts["image_mean"]) if facts["do_normalize"] else (0.0,) * _CHANNELS,
            std=_triple(facts["image_std"]) if facts["do_normalize"] else (1.0,) * _CHANNELS,
        )

    def __str__(self) -> str:
        """One line for the encoder's identity."""
        steps = []
        if self.shortest_edge:
            steps.append(f"short side {self.shortest_edge} {self.resampling}")
        if self.size:
            steps.append(f"{self.size[0]}x{self.size[1]} {self.resampling}")
        if self.crop:
            steps.append(f"centre {self.crop[0]}x{self.crop[1]}")
        steps.append(f"x{self.scale:.6g}")
        steps.append(f"mean {'/'.join(f'{m:.4g}' for m in self.mean)} std {'/'.join(f'{s:.4g}' for s in self.std)}")
        return ", ".join(steps)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Give the (height, width) a frame has after resizing."""
        if self.size:
            return self.size
        if not self.shortest_edge:
            return height, width
        long = int(self.shortest_edge * max(height, width) / min(height, width))
        return (self.shortest_edge, long) if height <= width else (long, self.shortest_edge)

    def apply(self, frames: Frames, device: "torch.device", dtype: "torch.dtype") -> "Tensor":
        """Give the network's input: (n, 3, height, width) on the device."""
        import torch

        # Frames cut out of a pipe's bytes are read-only, which torch warns of: those are copied.
        writable = np.require(frames, requirements=["C", "W"])
        pixels = torch.from_numpy(writable).to(device).permute(0, 3, 1, 2)
        pixels = _resize(pixels, self.resized(*frames.shape[1:3]), self.resampling)
        if self.crop:
            pixels = _centre(pixels, self.crop)
        mean = torch.tensor(self.mean, device=device).view(1, _CHANNELS, 1, 1)
        std = torch.tensor(self.std, device=device).view(1, _CHANNELS, 1, 1)
        # In place: each step as an array of its own takes longer than its arithmetic.
        return pixels.float().mul_(self.scale).sub_(mean).div_(std).to(dtype)


def _resize(pixels: "Tensor", size: tuple[int, int], mode: str) -> "Tensor":
    from torch.nn import functional

    if size == tuple(pixels.shape[2:]):
        return pixels
    if pixels.device.type == "cpu":  # the only device that resizes bytes, and fast
        return functional.interpolate(pixels, size=size, mode=mode, antialias=True, align_corners=False)
    resized = functional.interpolate(pixels.float(), size=size, mode=mode, antialias=True, align_corners=False)
    return resized.round().clamp(0, 255)


def _centre(pixels: "Tensor", crop: tuple[int, int]) -> "Tensor":
    """Cut the middle out; a picture smaller than the crop gets black borders first."""
    from torch.nn import functional

    lacking = [max(0, wanted - have) for wanted, have in zip(crop, pixels.shape[2:], strict=True)]
    if any(lacking):
        down, across = lacking
        pixels = functional.pad(pixels, (across // 2, across - across // 2, down // 2, down - down // 2))
    top, left = ((have - wanted) // 2 for wanted, have in zip(crop, pixels.shape[2:], strict=True))
    return pixels[:, :, top : top + crop[0], left : left + crop[1]]


def _size(value: Any, *, is_square: bool) -> tuple[int | None, tuple[int, int] | None]:
    """Read a size as any age of config writes it: a number, or a mapping."""
    if isinstance(value, int):
        return (None, (value, value)) if is_square else (value, None)
    if isinstance(value, Mapping):
        if value.get("height") and value.get("width"):
            return None, (int(value["height"]), int(value["width"]))
        if value.get("shortest_edge") and not value.get("longest_edge"):
            return int(value["shortest_edge"]), None
    raise MissingDependency(f"the checkpoint's image processor has a size that is not known here: {value!r}")


def _triple(value: Any) -> tuple[float, ...]:
    return (float(value),) * _CHANNELS if isinstance(value, int | float) else tuple(float(v) for v in value)
