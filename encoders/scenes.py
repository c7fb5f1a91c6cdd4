"""From frames to one vector per scene."""

from collections.abc import Generator, Iterable
from contextlib import closing, suppress
from queue import Empty, Queue
from threading import Event, Thread
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import EncoderUnhealthy
from encoders import health
from encoders.protocol import Encoder, Frames, Vectors

_Batch = tuple[Frames, NDArray[np.int64]]
#: Batches decoded ahead of the network: one hides the decoder's time, more would only cost memory.
AHEAD: Final = 1


def embed(encoder: Encoder, batches: Iterable[_Batch], scenes: int) -> Vectors:
    """Give each scene the normalised mean of its frames' vectors.

    Args:
        batches: frames and the index of the scene each belongs to; read once and at most one batch ahead, in
            another thread, so memory stays flat and decoding takes no time of the network's.
        scenes: their number; every one must have a frame.
    Returns:
        (scenes, encoder.spec.dim) unit rows.
    Raises:
        EncoderUnhealthy: vectors are broken or the same for different frames; a scene got no frame, or no
            direction (permanent).
        AcceleratorBusy: out of device memory at batch size 1 (transient).
    """
    sums = np.zeros((scenes, encoder.spec.dim), np.float64)
    counts = np.zeros(scenes, np.int64)
    with closing(_read_ahead(batches)) as ready:
        for frames, owners in ready:
            vectors = encoder.encode_frames(frames)
            health.check_frames(encoder.spec, frames, vectors)
            np.add.at(sums, owners, vectors)
            np.add.at(counts, owners, 1)
    if not counts.all():
        raise EncoderUnhealthy(f"No frame was read for scene {int(np.argmin(counts))} of {scenes}.")
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths)) or np.any(lengths == 0):
        raise EncoderUnhealthy("The vectors of a scene's frames cancel one another out or are not numbers.")
    pooled: Vectors = (sums / lengths).astype(np.float32)
    return pooled


def _read_ahead(batches: Iterable[_Batch]) -> Generator[_Batch]:
    """Give the same batches, each made while the one before it is worked on; errors pass through.

    The one thread that reads also starts and ends what it reads from: a media process dies with the thread that
    started it. Closing stops it after the batch it is at.
    """
    # Room for what is ahead; an error or the end (None) follows the last batch.
    ready: Queue[_Batch | BaseException | None] = Queue(AHEAD)
    is_over = Event()

    def read() -> None:
        try:
            for batch in batches:
                ready.put(batch)
                if is_over.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised again where the batches are wanted
            ready.put(error)
        else:
            ready.put(None)

    reader = Thread(target=read, name="read-ahead", daemon=True)
    reader.start()
    try:
        while (batch := ready.get()) is not None:
            if isinstance(batch, BaseException):
                raise batch
            yield batch
    finally:
        is_over.set()
        while reader.is_alive():  # whatever it waits to put finds room
            with suppress(Empty):
                ready.get(timeout=0.05)
        reader.join()
