"""Waiting out short outages where an exception would not be seen, or would cost finished work."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from core.errors import TransientError

#: Seconds waited between tries: longer than a store or database of the embedded stack takes to restart.
WAITS_S: Final = (0.5, 1, 2, 4, 8, 16)

T = TypeVar("T")


def patiently(call: Callable[[], T]) -> T:
    """Call again after each transient error, ever more slowly; the last one is raised."""
    for wait in WAITS_S:
        try:
            return call()
        except TransientError:
            time.sleep(wait)
    return call()
