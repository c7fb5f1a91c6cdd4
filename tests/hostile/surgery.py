"""Take MP4 and Matroska files apart and put them together wrongly."""

import struct
from collections.abc import Iterator
from typing import Final

CONTAINERS: Final = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"mvex", b"moof", b"traf", b"udta"}

#: Where a box lies: [start, end), its header's length, its type, and the starts of the boxes around it.
Box = tuple[int, int, int, bytes, tuple[int, ...]]


def boxes_of(content: bytes) -> list[Box]:
    """List the boxes of an MP4 or MOV, those that hold boxes before what they hold; nothing for other files."""
    known = (b"ftyp", b"wide", b"mdat", b"moov", b"free", b"skip")
    return list(_boxes(content, 0, len(content), ())) if content[4:8] in known else []


def _boxes(content: bytes, at: int, end: int, around: tuple[int, ...]) -> Iterator[Box]:
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", content, at)
        header = 16 if size == 1 else 8
        if size == 1 and at + 16 <= end:
            (size,) = struct.unpack_from(">Q", content, at + 8)
        stop = at + size if header <= size <= end - at else end
        yield at, stop, header, kind, around
        if kind in CONTAINERS:
            yield from _boxes(content, at + header, stop, (*around, at))
        at = stop


def grow(content: bytearray, around: tuple[int, ...], by: int) -> None:
    """Add to the sizes that stand at these places."""
    for start in around:
        (size,) = struct.unpack_from(">I", content, start)
        struct.pack_into(">I", content, start, max(0, size + by))


def box(kind: bytes, *content: bytes) -> bytes:
    whole = b"".join(content)
    return struct.pack(">I4s", len(whole) + 8, kind) + whole


def full_box(kind: bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def content_of(content: bytes, kind: bytes) -> bytes:
    """Give what the first box of this kind holds."""
    start, end, header, *_ = next(b for b in boxes_of(content) if b[3] == kind)
    return content[start + header : end]


def replaced(content: bytes, kind: bytes, new: bytes) -> bytes:
    """Put `new` in the place of the first box of this kind; what is around it grows along."""
    start, end, _, _, around = next(b for b in boxes_of(content) if b[3] == kind)
    whole = bytearray(content)
    whole[start:end] = new
    grow(whole, around, len(new) - (end - start))
    return bytes(whole)


def added(content: bytes, parent: bytes, new: bytes) -> bytes:
    """Put `new` at the end of the first box of this kind, which holds boxes."""
    start, end, _, _, around = next(b for b in boxes_of(content) if b[3] == parent)
    whole = bytearray(content)
    whole[end:end] = new
    grow(whole, (*around, start), len(new))
    return bytes(whole)


def patched(content: bytes, kind: bytes, at: int, new: bytes) -> bytes:
    """Write over what the first box of this kind holds, from byte `at` of its content on."""
    start, _, header, *_ = next(b for b in boxes_of(content) if b[3] == kind)
    whole = bytearray(content)
    whole[start + header + at : start + header + at + len(new)] = new
    return bytes(whole)


def element(identity: int, *content: bytes, size: int | None = None) -> bytes:
    """Build an EBML element; `size` is a lie about what it holds."""
    whole = b"".join(content)
    told = len(whole) if size is None else size
    return identity.to_bytes((identity.bit_length() + 7) // 8, "big") + (told | 1 << 56).to_bytes(8, "big") + whole


def number(identity: int, value: int) -> bytes:
    return element(identity, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def matroska(*segment: bytes) -> bytes:
    head = element(0x1A45DFA3, element(0x4282, b"matroska"), number(0x4287, 4), number(0x4285, 2))
    return head + element(0x18538067, *segment)


def video_track(codec: bytes, width: int, height: int, *more: bytes, which: int = 1) -> bytes:
    size = element(0xE0, number(0xB0, width), number(0xBA, height))
    names = (number(0xD7, which), number(0x73C5, which), number(0x83, 1), element(0x86, codec))
    return element(0xAE, *names, size, *more)


def cluster(*frames: bytes, every_ms: int = 100, which: int = 1) -> bytes:
    """Build one cluster of keyframes."""
    blocks = [
        element(0xA3, bytes([0x80 | which]), struct.pack(">hB", place * every_ms, 0x80), frame)
        for place, frame in enumerate(frames)
    ]
    return element(0x1F43B675, number(0xE7, 0), *blocks)
