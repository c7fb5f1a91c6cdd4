"""Tells out of memory from other faults of a network; torch itself is not needed for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from core.errors import AcceleratorBusy

#: How out of memory reads where torch has no class of its own for it: MPS, the CPU's allocator, and the libraries
#: under CUDA (CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED).
_OUT_OF_MEMORY: Final = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")


def is_out_of_memory(error: Exception) -> bool:
    """Say whether a network failed because the device has no memory left."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY)


def accelerator_busy(lack: str, setting: str) -> AcceleratorBusy:
    """Word the error.

    Args:
        lack: what there is no memory for, as the beginning of a sentence.
        setting: the variable that says where the network runs.
    """
    return AcceleratorBusy(f"{lack}; stop what else runs on it, or set {setting}=cpu")


@contextmanager
def busy_when_out_of_memory(lack: str, setting: str) -> Iterator[None]:
    """Raise AcceleratorBusy for out of memory; other errors pass. Arguments as `accelerator_busy`."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise accelerator_busy(lack, setting) from error
