"""Waiting out outages where an exception would not be seen, or would cost work that is finished or follows."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from core.errors import TransientError

logger = logging.getLogger(__name__)

#: Seconds waited between tries: longer than a store or database of the embedded stack takes to restart.
WAITS_S: Final = (0.5, 1, 2, 4, 8, 16)
#: The same for work of days that a person looks at in the morning: about two days.
LONG_WAITS_S: Final = (*WAITS_S, 30, *[60] * 2880)

T = TypeVar("T")


def patiently(call: Callable[[], T], waits_s: Sequence[float] = WAITS_S) -> T:
    """Call again after each transient error, ever more slowly; the last one is raised."""
    for wait in waits_s:
        try:
            return call()
        except TransientError as error:
            logger.warning("tried again in %s s: %s", wait, error)
            time.sleep(wait)
    return call()
