"""Break a file in one of many ways; the same seed number breaks it the same way on every machine."""

import random
import struct
from collections.abc import Callable
from typing import Final

from tests.hostile.surgery import CONTAINERS, boxes_of, grow

#: Numbers at which readers go wrong: nothing, one, the signed and unsigned borders, and a few large ones.
_BORDERS: Final = (0, 1, 2, 0x7FFF, 0xFFFF, 0x10000, 0xFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
#: Bytes at the beginning, and at the end, where most containers keep what they say of themselves.
_HEADER_BYTES: Final = 1024


def mutate(content: bytes, chance: random.Random) -> tuple[str, bytes]:
    """Give the name of what was done and the broken file; never the file as it was."""
    kinds = [*_ANYWHERE, *(_SURGERY if boxes_of(content) else ())] * 2
    while True:
        kind = chance.choice(kinds)
        broken = kind(bytearray(content), chance)
        if broken != content:
            return kind.__name__, bytes(broken)


def flip_bits(content: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return content


def flip_header_bits(content: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.choice((1, 1, 2, 4))):
        content[_in_header(content, chance, 1)] ^= 1 << chance.randrange(8)
    return content


def write_border(content: bytearray, chance: random.Random) -> bytearray:
    """Write a number at which readers go wrong, of 1, 2 or 4 bytes, somewhere in the header."""
    width = chance.choice((1, 2, 4))
    at = _in_header(content, chance, width)
    number = chance.choice(_BORDERS) & ((1 << 8 * width) - 1)
    content[at : at + width] = number.to_bytes(width, chance.choice(("big", "little")))
    return content


def truncate(content: bytearray, chance: random.Random) -> bytearray:
    return content[: chance.randrange(1, len(content))]


def lose_the_beginning(content: bytearray, chance: random.Random) -> bytearray:
    return content[chance.randrange(1, len(content)) :]


def cut_out(content: bytearray, chance: random.Random) -> bytearray:
    at, length = _span(content, chance)
    del content[at : at + length]
    return content


def insert_noise(content: bytearray, chance: random.Random) -> bytearray:
    at, length = _span(content, chance)
    content[at:at] = chance.randbytes(length)
    return content


def overwrite(content: bytearray, chance: random.Random) -> bytearray:
    at, length = _span(content, chance)
    fill = chance.choice((chance.randbytes(length), bytes(length), b"\xff" * length))
    content[at : at + length] = fill[: len(content) - at]
    return content


def repeat(content: bytearray, chance: random.Random) -> bytearray:
    at, length = _span(content, chance)
    content[at:at] = content[at : at + length]
    return content


def append_itself(content: bytearray, chance: random.Random) -> bytearray:
    return content + content[: chance.randrange(1, len(content))]


def lose_a_box(content: bytearray, chance: random.Random) -> bytearray:
    start, end, _, _, around = chance.choice(boxes_of(content))
    del content[start:end]
    grow(content, around, start - end)
    return content


def repeat_a_box(content: bytearray, chance: random.Random) -> bytearray:
    start, end, _, _, around = chance.choice(boxes_of(content))
    content[end:end] = content[start:end]
    grow(content, around, end - start)
    return content


def lie_about_a_size(content: bytearray, chance: random.Random) -> bytearray:
    start, end, *_ = chance.choice(boxes_of(content))
    size = chance.choice((*_BORDERS, end - start - 1, end - start + 1, (end - start) * 2, (end - start) // 2))
    struct.pack_into(">I", content, start, size & 0xFFFFFFFF)
    return content


def rename_a_box(content: bytearray, chance: random.Random) -> bytearray:
    boxes = boxes_of(content)
    start, *_ = chance.choice(boxes)
    content[start + 4 : start + 8] = chance.choice((chance.choice(boxes)[3], b"free", b"junk"))
    return content


def write_border_in_a_box(content: bytearray, chance: random.Random) -> bytearray:
    """Write a number at which readers go wrong into a field of a box that holds no boxes and no pictures."""
    fields = [b for b in boxes_of(content) if b[3] not in CONTAINERS and b[3] != b"mdat" and b[1] - b[0] - b[2] >= 4]
    start, end, header, _, _ = chance.choice(fields)
    at = chance.randrange(start + header, end - 3, 4)
    struct.pack_into(">I", content, at, chance.choice(_BORDERS))
    return content


def swap_boxes(content: bytearray, chance: random.Random) -> bytearray:
    start, end, _, _, around = chance.choice(boxes_of(content))
    following = [b for b in boxes_of(content) if b[0] == end and b[4] == around]
    if following:
        content[start : following[0][1]] = content[end : following[0][1]] + content[start:end]
    return content


def _in_header(content: bytearray, chance: random.Random, width: int) -> int:
    reach = min(_HEADER_BYTES, len(content) - width)
    at = chance.randrange(reach + 1)
    return at if chance.random() < 0.6 else len(content) - width - at


def _span(content: bytearray, chance: random.Random) -> tuple[int, int]:
    return chance.randrange(len(content)), chance.choice((1, 2, 3, 4, 16, 188, 1000))


_ANYWHERE: Final[tuple[Callable[[bytearray, random.Random], bytearray], ...]] = (
    flip_bits, flip_bits, flip_header_bits, flip_header_bits, write_border, write_border, truncate, truncate,
    lose_the_beginning, cut_out, insert_noise, overwrite, repeat, append_itself,
)  # fmt: skip
_SURGERY: Final[tuple[Callable[[bytearray, random.Random], bytearray], ...]] = (
    lose_a_box, repeat_a_box, lie_about_a_size, rename_a_box, write_border_in_a_box, write_border_in_a_box, swap_boxes,
)  # fmt: skip
