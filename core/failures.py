"""Failures, told apart: the error fingerprint groups runs that failed for the same reason."""

import hashlib
import re
from typing import Final

from core.errors import DailiesError
from core.stages import Stage

#: What differs between two failures of one kind, most specific first.
_VARIABLE: Final = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE), "<id>"),
    (re.compile(r"0x[0-9a-f]+", re.IGNORECASE), "<address>"),
    (re.compile(r"\b[0-9a-f]{16,}\b", re.IGNORECASE), "<hash>"),
    # A file's path, an object's bucket and key, an address on the network.
    (re.compile(r"\S+/\S+"), "<path>"),
    (re.compile(r"\d+(?:\.\d+)?"), "<n>"),
)
#: Digits of an error fingerprint: short enough to type.
DIGITS: Final = 12
#: Longest message kept in a row.
MAX_MESSAGE_CHARS: Final = 2_000


def normalise(message: str) -> str:
    """Replace ids, addresses, paths and numbers, and keep the first line."""
    text = message.strip().partition("\n")[0]
    for pattern, word in _VARIABLE:
        text = pattern.sub(word, text)
    return text


def error_fingerprint(stage: Stage | str | None, error_class: str, message: str) -> str:
    """Give the name of a group of failures: stage, class and normalised message."""
    text = "\n".join((str(stage or ""), error_class, normalise(message)))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def describe(error: BaseException) -> tuple[str, str]:
    """Give an error's class name and its message, cut to what a row keeps."""
    message = str(error).strip() or (type(error).__doc__ or "").strip()
    if not isinstance(error, DailiesError):
        message = f"{message} (unexpected: please report it)" if message else "unexpected"
    return type(error).__name__, message[:MAX_MESSAGE_CHARS]
