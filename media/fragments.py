"""The samples of one fragment, read from and written to its boxes (ISO/IEC 14496-12, 8.8)."""

import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from media.boxes import Box, boxes_in, payload

_DATA_OFFSET, _FIRST_FLAGS = 0x1, 0x4
_DURATION, _SIZE, _FLAGS, _SHIFT = 0x100, 0x200, 0x400, 0x800
_FIELDS: Final = (_DURATION, _SIZE, _FLAGS, _SHIFT)
#: Version 1 of a trun box: offsets may be negative.
_SIGNED: Final = 1 << 24


@dataclass(frozen=True)
class Samples:
    """Durations and composition offsets of one run of samples, in ticks."""

    durations: NDArray[np.int64]
    shifts: NDArray[np.int64]


def samples_of(run: bytes, default_duration: int) -> Samples:
    """Read the content of a trun box."""
    flags, count, at = _layout(run)
    present = [flag for flag in _FIELDS if flags & flag]
    table = np.frombuffer(run, ">i4", count=count * len(present), offset=at).reshape(count, -1).astype(np.int64)
    durations = (
        table[:, present.index(_DURATION)] if _DURATION in present else np.full(count, default_duration, np.int64)
    )
    shifts = table[:, present.index(_SHIFT)] if _SHIFT in present else np.zeros(count, np.int64)
    return Samples(durations, shifts)


def fragment_head(file: BinaryIO, moof: Box, number: int, delay: int) -> bytes:
    """Give a moof with this sequence number, every sample shown `delay` ticks later; its mdat must follow at once."""
    grown = sum(
        4 * _layout(payload(file, run))[1]
        for traf in boxes_in(file, moof.body, moof.end)
        if traf.kind == "traf"
        for run in boxes_in(file, traf.body, traf.end)
        if run.kind == "trun" and delay and not _layout(payload(file, run))[0] & _SHIFT
    )
    parts = []
    for part in boxes_in(file, moof.body, moof.end):
        content = payload(file, part)
        if part.kind == "mfhd":
            content = content[:4] + struct.pack(">I", number)
        elif part.kind == "traf":
            inner = [(b.kind, payload(file, b)) for b in boxes_in(file, part.body, part.end)]
            content = b"".join(box(k, _delayed(c, delay, grown) if k == "trun" else c) for k, c in inner)
        parts.append(box(part.kind, content))
    return box("moof", b"".join(parts))


def box(kind: str, content: bytes) -> bytes:
    """Wrap content into a box."""
    return struct.pack(">I4s", 8 + len(content), kind.encode("latin-1")) + content


def _layout(run: bytes) -> tuple[int, int, int]:
    """Give flags, number of samples, and where their table begins."""
    flags, count = struct.unpack_from(">II", run)
    at = 8 + (4 if flags & _DATA_OFFSET else 0) + (4 if flags & _FIRST_FLAGS else 0)
    return flags & 0xFFFFFF, count, at


def _delayed(run: bytes, delay: int, grown: int) -> bytes:
    """Show every sample of a run later, and say that the media lies `grown` bytes further on."""
    flags, count, at = _layout(run)
    fields = sum(1 for flag in _FIELDS if flags & flag)
    table = np.frombuffer(run, ">i4", count=count * fields, offset=at).reshape(count, fields)
    if delay and not flags & _SHIFT:  # the offset is the last field
        table = np.concatenate([table, np.zeros((count, 1), ">i4")], axis=1)
        flags |= _SHIFT
    table = table.copy()
    if delay:
        table[:, -1] += delay
    front = bytearray(run[8:at])
    if flags & _DATA_OFFSET:
        struct.pack_into(">i", front, 0, struct.unpack_from(">i", front)[0] + grown)
    return struct.pack(">II", _SIGNED | flags, count) + bytes(front) + table.astype(">i4").tobytes()
