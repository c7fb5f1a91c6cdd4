"""Whether a file is all there by the byte counts of its own container: what tells a cut from a lying header."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

_SEGMENT: Final = 0x18538067
_EBML: Final = 0x1A45DFA3
#: Bytes in front of an FLV tag, and of what follows each: the tag's size again.
_FLV_TAG, _FLV_SIZE = 11, 4
#: The file properties object of ASF; the file's size is 40 bytes into it.
_ASF_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_HEAD_BYTES: Final = 1 << 16


def is_whole(path: Path, container: str | None) -> bool:
    """Whether the container says how many bytes it has, and they are there; False where it cannot be known.

    Args:
        container: the demuxer's name, as media.sniff gives it. MP4 is judged by its packets instead, which its
            header counts.
    """
    judge = _JUDGES.get(container or "")
    if judge is None:
        return False
    with path.open("rb") as file:
        try:
            return judge(file, path.stat().st_size)
        except (struct.error, IndexError, ValueError):  # the header itself is cut off, or is none
            return False


def _avi(file: BinaryIO, size: int) -> bool:
    (promised,) = struct.unpack("<I", file.read(8)[4:])
    return 0 < int(promised) + 8 <= size


def _matroska(file: BinaryIO, size: int) -> bool:
    while True:
        identity, length = _element(file)
        if identity == _SEGMENT:
            return length is not None and file.tell() + length <= size
        if identity != _EBML or length is None:
            return False
        file.seek(length, 1)


def _element(file: BinaryIO) -> tuple[int, int | None]:
    """Read the head of an EBML element: its number, and its length where it is known."""
    first = file.read(1)[0]
    width = 9 - first.bit_length()
    identity = int.from_bytes(bytes([first]) + file.read(width - 1), "big")
    first = file.read(1)[0]
    width = 9 - first.bit_length()
    length = int.from_bytes(bytes([first & ~(1 << (8 - width))]) + file.read(width - 1), "big")
    return identity, None if length == (1 << 7 * width) - 1 else length


def _flash(file: BinaryIO, size: int) -> bool:
    """Look whether the last tag ends with the file."""
    file.seek(max(0, size - _FLV_SIZE))
    (tag,) = struct.unpack(">I", file.read(_FLV_SIZE))
    at = size - _FLV_SIZE - tag
    if tag < _FLV_TAG or at < _FLV_TAG:
        return False
    file.seek(at + 1)
    return int.from_bytes(file.read(3), "big") + _FLV_TAG == int(tag)


def _windows(file: BinaryIO, size: int) -> bool:
    head = file.read(_ASF_HEAD_BYTES)
    at = head.find(_ASF_PROPERTIES)
    (promised,) = struct.unpack_from("<Q", head, at + 40) if at >= 0 else (0,)
    return 0 < int(promised) <= size


_JUDGES: Final[dict[str, Callable[[BinaryIO, int], bool]]] = {
    "avi": _avi,
    "matroska": _matroska,
    "flv": _flash,
    "asf": _windows,
}
