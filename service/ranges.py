"""Which bytes a Range header asks for (RFC 9110, section 14); pure."""

import re
from typing import Final, NamedTuple

from service.errors import UnsatisfiableRange

_ONE_RANGE: Final = re.compile(r"bytes\s*=\s*(?P<first>\d*)\s*-\s*(?P<last>\d*)", re.IGNORECASE)
#: Longer numbers are no file's; Python would also take long over them.
_MAX_DIGITS: Final = 19


class Span(NamedTuple):
    """Bytes [first, first + length) of a file."""

    first: int
    length: int


def span_for(header: str | None, size_bytes: int) -> Span | None:
    """Give the bytes that are asked for; None for the whole file.

    What is malformed, in another unit, or several ranges at once is answered with the whole file, as the RFC allows.

    Raises:
        UnsatisfiableRange: no byte of the file is in the range (permanent).
    """
    match = _ONE_RANGE.fullmatch((header or "").strip())
    if match is None:
        return None
    first, last = match["first"], match["last"]
    if (not first and not last) or max(len(first), len(last)) > _MAX_DIGITS:
        return None
    if not first:
        length = min(int(last), size_bytes)  # the last bytes of the file
        begin, end = size_bytes - length, size_bytes
    else:
        begin, end = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < begin:
            return None
    if begin >= end:
        raise UnsatisfiableRange(size_bytes)
    return Span(begin, end - begin)


def matches(header: str | None, etag: str) -> bool:
    """Say whether an If-None-Match header names this etag (given with its quotes)."""
    if header is None:
        return False
    named = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return "*" in named or etag in named
