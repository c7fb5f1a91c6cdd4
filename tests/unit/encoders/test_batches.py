import numpy as np
import pytest
import torch

from core.errors import AcceleratorBusy
from encoders.batches import Batches


class Device:
    """Has memory for so many frames at a time."""

    def __init__(self, room, error=torch.OutOfMemoryError("CUDA out of memory")):
        self.room, self.error, self.ran = room, error, []

    def forward(self, chosen):
        indices = range(chosen.start, chosen.stop)
        if len(indices) > self.room:
            raise self.error
        self.ran.append(len(indices))
        return np.array([[index] for index in indices], np.float32)


def test_rows_come_in_order_whatever_the_batches():
    device = Device(room=100)
    rows = Batches(4).run(10, 1, device.forward)
    assert rows.ravel().tolist() == list(range(10))
    assert device.ran == [4, 4, 2]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"),
        MemoryError(),
    ],
)
def test_the_batch_is_halved_until_it_fits_and_stays_so(error):
    device, batches = Device(room=3, error=error), Batches(8)
    assert batches.run(5, 1, device.forward).ravel().tolist() == list(range(5))
    assert (batches.size, device.ran) == (2, [2, 2, 1])


def test_no_memory_for_one_frame_is_a_busy_accelerator():
    with pytest.raises(AcceleratorBusy, match="one frame"):
        Batches(8).run(5, 1, Device(room=0).forward)


def test_another_fault_of_the_network_is_not_taken_for_memory():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        Batches(8).run(5, 1, Device(room=0, error=RuntimeError("shapes cannot be multiplied")).forward)
