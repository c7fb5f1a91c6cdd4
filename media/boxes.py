"""The boxes that an MP4 file is made of (ISO/IEC 14496-12), read by offset; media data is never loaded."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from core.errors import EncoderRejected

_HEADER: Final = struct.Struct(">I4s")
_LARGE: Final = struct.Struct(">Q")
#: Tables larger than this belong to no file that we made.
_MAX_PAYLOAD: Final = 1 << 30


@dataclass(frozen=True)
class Box:
    """Where one box lies: [start, end) in bytes, its content from `body` on."""

    kind: str
    start: int
    body: int
    end: int

    @property
    def size(self) -> int:
        """Bytes of the whole box."""
        return self.end - self.start


def boxes_in(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """Give the boxes between two offsets, in order.

    Raises:
        EncoderRejected: a box ends outside of its parent (permanent).
    """
    while start + _HEADER.size <= end:
        file.seek(start)
        size, kind = _HEADER.unpack(file.read(_HEADER.size))
        body = start + _HEADER.size
        if size == 1:  # the real size follows
            size = _LARGE.unpack(file.read(_LARGE.size))[0]
            body += _LARGE.size
        elif size == 0:  # up to the end
            size = end - start
        if size < body - start or start + size > end:
            raise EncoderRejected(f"box {kind!r} at byte {start} ends outside of its parent")
        yield Box(kind.decode("latin-1"), start, body, start + size)
        start += size


def top_boxes(file: BinaryIO) -> list[Box]:
    """Give the outermost boxes of a file."""
    return list(boxes_in(file, 0, file.seek(0, io.SEEK_END)))


def child(file: BinaryIO, parent: Box, *path: str) -> Box | None:
    """Walk down to the first box of this path; None where a step is missing."""
    box: Box | None = parent
    for kind in path:
        assert box is not None
        box = next((b for b in boxes_in(file, box.body, box.end) if b.kind == kind), None)
        if box is None:
            return None
    return box


def children(file: BinaryIO, parent: Box, kind: str) -> list[Box]:
    """Give every direct child of one kind, in order."""
    return [b for b in boxes_in(file, parent.body, parent.end) if b.kind == kind]


def payload(file: BinaryIO, box: Box) -> bytes:
    """Read what is in a box."""
    if box.end - box.body > _MAX_PAYLOAD:
        raise EncoderRejected(f"box {box.kind!r} is too large")
    file.seek(box.body)
    return file.read(box.end - box.body)


def is_fragmented(path: Path) -> bool:
    """Whether the media lies in fragments (moof) instead of one table (moov)."""
    with path.open("rb") as file:
        return any(box.kind == "moof" for box in top_boxes(file))
