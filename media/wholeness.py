"""Whether a file is all there by the byte counts of its own container: what tells a cut from a lying header."""

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

_SEGMENT: Final = 0x18538067
_EBML: Final = 0x1A45DFA3
#: Bytes in front of an FLV tag, and of what follows each: the tag's size again.
_FLV_TAG, _FLV_SIZE = 11, 4
#: A chunk of RIFF: four letters, the bytes that follow, and the kind of a list; the first two are not counted.
_RIFF: Final = struct.Struct("<4sI4s")
_RIFF_HEAD: Final = 8
#: RIFFs of an AVI, a gigabyte each, and chunks in front of its pictures: more than any has.
_MOST_RIFFS, _MOST_CHUNKS = 1024, 64
#: Sizes that a recorder writes first and mends at the end, if it comes to that.
_UNTOLD: Final = frozenset({0, 0x40000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF})
#: The file properties object of ASF, and 40 bytes into it: bytes of the file, creation, packets, play (100 ns), send,
#: preroll (ms; play counts it), flags.
_ASF_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_FIELDS, _ASF_FIELDS_AT = struct.Struct("<QQQQQQI"), 40
_ASF_HEAD_BYTES: Final = 1 << 16
#: An object of ASF: its name and how many bytes it has; the first one is the header, the next the packets.
_ASF_OBJECT: Final = struct.Struct("<16sQ")
_ASF_DATA: Final = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
#: The flag of a broadcast, whose header knows neither size nor length.
_ASF_BROADCAST: Final = 1
#: The key of a partition of MXF up to its kind (SMPTE 377), and what of the pack is read: the footer's place.
_MXF_PARTITION: Final = bytes.fromhex("060e2b34020501010d01020101")
_MXF_HEADER, _MXF_FOOTER, _MXF_FOOTER_AT = 2, 4, 24
#: The random index pack, the last thing in a file; its own length ends it.
_MXF_INDEX: Final = bytes.fromhex("060e2b34020501010d01020101110100")
_MXF_KEY, _MXF_LENGTH = 16, 4

_Judge = Callable[[BinaryIO, int], bool]


def is_whole(path: Path, container: str | None) -> bool:
    """Whether the container says how many bytes it has, and they are there; False where it cannot be known.

    Args:
        container: the demuxer's name, as media.sniff gives it. MP4 is judged by its packets instead, which its
            header counts.
    """
    return _judged(_WHOLE, path, container)


def may_begin_anew(path: Path, container: str | None) -> bool:
    """Whether another recording may lie behind the first one in a Matroska file: its length is not told, or shorter.

    Args:
        container: the demuxer's name, as media.sniff gives it.
    """
    return container == "matroska" and not _judged({"matroska": _is_one_recording}, path, container)


def is_cut_off(path: Path, container: str | None) -> bool:
    """Whether all byte counts of an AVI, ASF or MXF say that its end is missing; False where it cannot be known.

    Of these ffprobe does not tell the length that the header promises, or not the times of the packets that are left.
    Byte counts may lie: pictures have to be missing, too (media.losses).
    """
    return _judged(_CUT_OFF, path, container)


def play_s(path: Path) -> Fraction | None:
    """Give the seconds that an ASF file says it plays; None where it does not."""
    with path.open("rb") as file:
        properties = _asf_properties(file)
    return properties.play_s if properties else None


def _judged(judges: dict[str, _Judge], path: Path, container: str | None) -> bool:
    judge = judges.get(container or "")
    if judge is None:
        return False
    with path.open("rb") as file:
        try:
            return judge(file, path.stat().st_size)
        except (struct.error, IndexError, ValueError, OverflowError, OSError):  # the header is cut off, or is none
            return False


def _is_whole_avi(file: BinaryIO, size: int) -> bool:
    ends = [end for _, end in _riffs(file, size)]
    return bool(ends) and max(ends) <= size


def _is_cut_avi(file: BinaryIO, size: int) -> bool:
    """Look for a RIFF that ends behind the file, as its list of pictures does."""
    return any(end > size and _pictures_end(file, start, size) > size for start, end in _riffs(file, size))


def _riffs(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Give where each RIFF of an AVI begins and says it ends, 0 where it does not; OpenDML has more than one."""
    at = 0
    for number in range(_MOST_RIFFS):
        file.seek(at)
        head = file.read(_RIFF.size)
        if len(head) < _RIFF.size:
            return
        name, length, kind = _RIFF.unpack(head)
        if name not in {b"RIFF", b"RIFX"} or (number and kind != b"AVIX"):
            return
        yield at, _told_end(at, length)
        at += _RIFF_HEAD + length + length % 2
        if length in _UNTOLD or at >= size:
            return


def _pictures_end(file: BinaryIO, riff: int, size: int) -> int:
    """Give where the list of pictures in a RIFF says it ends, 0 where it does not."""
    at = riff + _RIFF.size
    for _ in range(_MOST_CHUNKS):
        if at >= size:
            break
        file.seek(at)
        name, length, kind = _RIFF.unpack(file.read(_RIFF.size))
        if (name, kind) == (b"LIST", b"movi"):
            return _told_end(at, length)
        at += _RIFF_HEAD + length + length % 2
    return 0


def _told_end(at: int, length: int) -> int:
    return 0 if length in _UNTOLD else at + _RIFF_HEAD + length


def _is_whole_matroska(file: BinaryIO, size: int) -> bool:
    end = _recording_end(file)
    return end is not None and end <= size


def _is_one_recording(file: BinaryIO, size: int) -> bool:
    end = _recording_end(file)
    return end is not None and end >= size


def _recording_end(file: BinaryIO) -> int | None:
    """Give where the first recording of a Matroska file ends; None where it does not say."""
    while True:
        identity, length = _element(file)
        if identity == _SEGMENT:
            return None if length is None else file.tell() + length
        if identity != _EBML or length is None:
            return None
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


def _is_whole_flash(file: BinaryIO, size: int) -> bool:
    """Look whether the last tag ends with the file."""
    file.seek(max(0, size - _FLV_SIZE))
    (tag,) = struct.unpack(">I", file.read(_FLV_SIZE))
    at = size - _FLV_SIZE - tag
    if tag < _FLV_TAG or at < _FLV_TAG:
        return False
    file.seek(at + 1)
    return int.from_bytes(file.read(3), "big") + _FLV_TAG == int(tag)


class _Properties(NamedTuple):
    """What an ASF file that is no broadcast says of itself."""

    size: int
    play_s: Fraction


def _asf_properties(file: BinaryIO) -> _Properties | None:
    head = file.read(_ASF_HEAD_BYTES)
    at = head.find(_ASF_PROPERTIES)
    if at < 0 or len(head) < at + _ASF_FIELDS_AT + _ASF_FIELDS.size:
        return None
    size, _, _, play, _, preroll, flags = _ASF_FIELDS.unpack_from(head, at + _ASF_FIELDS_AT)
    return None if flags & _ASF_BROADCAST else _Properties(size, Fraction(play, 10**7) - Fraction(preroll, 1000))


def _is_whole_asf(file: BinaryIO, size: int) -> bool:
    properties = _asf_properties(file)
    return properties is not None and 0 < properties.size <= size


def _is_cut_asf(file: BinaryIO, size: int) -> bool:
    """Look whether the file ends before it says, and before its packets do."""
    properties = _asf_properties(file)
    file.seek(0)
    _, header = _ASF_OBJECT.unpack(file.read(_ASF_OBJECT.size))
    file.seek(header)
    name, packets = _ASF_OBJECT.unpack(file.read(_ASF_OBJECT.size))
    return properties is not None and properties.size > size and name == _ASF_DATA and header + packets > size


def _is_whole_mxf(file: BinaryIO, size: int) -> bool:
    footer = _footer_at(file)
    file.seek(footer)
    return 0 < footer < size and file.read(_MXF_KEY)[:-2] == _MXF_PARTITION + bytes([_MXF_FOOTER])


def _is_cut_mxf(file: BinaryIO, size: int) -> bool:
    """Look whether the footer lies behind the end of the file, which is not that of a whole one."""
    return _footer_at(file) >= size and not _ends_with_index(file, size)


def _footer_at(file: BinaryIO) -> int:
    """Give where the header says that the footer begins; 0 where it does not."""
    head = file.read(_MXF_KEY + 1)
    if head[:-3] != _MXF_PARTITION + bytes([_MXF_HEADER]):
        return 0
    # The length of the pack in one byte, or the number of bytes that it takes.
    file.seek(head[_MXF_KEY] & 0x7F if head[_MXF_KEY] & 0x80 else 0, 1)
    return int(struct.unpack_from(">Q", file.read(_MXF_FOOTER_AT + 8), _MXF_FOOTER_AT)[0])


def _ends_with_index(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - _MXF_LENGTH))
    length = int.from_bytes(file.read(_MXF_LENGTH), "big")
    file.seek(max(0, size - length))
    return file.read(_MXF_KEY) == _MXF_INDEX


_WHOLE: Final[dict[str, _Judge]] = {
    "avi": _is_whole_avi,
    "matroska": _is_whole_matroska,
    "flv": _is_whole_flash,
    "asf": _is_whole_asf,
    "mxf": _is_whole_mxf,
}
_CUT_OFF: Final[dict[str, _Judge]] = {"avi": _is_cut_avi, "asf": _is_cut_asf, "mxf": _is_cut_mxf}
