"""Runs a network over many inputs in the largest batches the device has memory for."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import AcceleratorBusy

#: How out of memory reads where torch has no class of its own for it: MPS, and the CPU's allocator.
_OUT_OF_MEMORY: Final = ("out of memory", "can't allocate memory", "not enough memory")


class Batches:
    """Finds the batch size by trying: halved each time the device has no memory left, then kept."""

    def __init__(self, size: int) -> None:
        self.size = size

    def run(self, count: int, dim: int, forward: Callable[[slice], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Call `forward` on slices that cover [0, count) in order; stack what it gives: (count, dim).

        Raises:
            AcceleratorBusy: out of memory at a batch of one (transient).
        """
        rows = np.empty((count, dim), np.float32)
        start = 0
        while start < count:
            chosen = slice(start, min(start + self.size, count))
            try:
                rows[chosen] = forward(chosen)
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                if self.size == 1:
                    raise AcceleratorBusy(
                        "the device has no memory left for one frame; stop what else runs on it, "
                        "or set DAILIES_ENCODER__DEVICE=cpu"
                    ) from error
                self.size = max(1, self.size // 2)
                continue
            start = chosen.stop
        return rows


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY)
