"""Runs a network over many inputs in the largest batches the device has memory for."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.memory import accelerator_busy, is_out_of_memory


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
                if not is_out_of_memory(error):
                    raise
                if self.size == 1:
                    raise accelerator_busy(
                        "the device has no memory left for one frame", "DAILIES_ENCODER__DEVICE"
                    ) from error
                self.size = max(1, self.size // 2)
                continue
            start = chosen.stop
        return rows
