"""Where a network runs and in which number format."""

from typing import Literal

import torch

from core.errors import MissingDependency


def device_for(wanted: Literal["auto", "cpu", "cuda", "mps"]) -> torch.device:
    """Turn the setting into a device: `auto` takes the first accelerator that answers.

    Raises:
        MissingDependency: the device named in the settings is not here (permanent).
    """
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(kind for kind, is_here in has.items() if is_here))
    if not has[wanted]:
        raise MissingDependency(
            f"DAILIES_ENCODER__DEVICE asks for {wanted}, which torch {torch.__version__} does not find on this machine; "
            "set it to auto or cpu, or install a build of torch for that device"
        )
    return torch.device(wanted)


def dtype_for(device: torch.device) -> torch.dtype:
    """Choose bfloat16 where the hardware multiplies it natively, float32 elsewhere.

    Emulated bfloat16 is slower than float32 on CPUs without avx512_bf16 or amx_bf16.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu":
        flags = torch.cpu.get_capabilities()
        return torch.bfloat16 if flags.get("avx512_bf16") or flags.get("amx_bf16") else torch.float32
    return torch.float32
