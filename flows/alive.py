"""Signs of life: while an attempt is at work, its process says so in our database, whatever becomes of Prefect's events."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

from core.agreed import HEARTBEAT_S
from core.settings import DatabaseSettings
from core.values import Ticket
from models import attempts
from models.session import transaction

logger = logging.getLogger(__name__)

#: Name of the thread.
THREAD: Final = "signs of life"
#: Seconds from a sign that could not be given to the next try: after an outage of the database those who live are to be
#: heard before settle resumes those who do not.
AGAIN_AFTER_S: Final = 2.0


@contextmanager
def signs_of_life(database: DatabaseSettings, ticket: Ticket, every_s: float = HEARTBEAT_S) -> Iterator[None]:
    """Give a sign of life again and again while the body runs, until a newer attempt owns the video.

    `begin` has given the first one. A sign that cannot be given fails nothing.
    """
    ended = Event()
    # A daemon, and not waited for: a database that hangs must not hold up the end of a run.
    Thread(target=_sign, args=(database, ticket, every_s, ended), name=THREAD, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _sign(database: DatabaseSettings, ticket: Ticket, every_s: float, ended: Event) -> None:
    pause_s = every_s
    while not ended.wait(pause_s):
        try:
            with transaction(database) as session:
                if not attempts.sign_of_life(session, ticket):
                    return
            pause_s = every_s
        except Exception as error:  # noqa: BLE001 - a thread that ends would let its run be taken for dead
            if pause_s == every_s:
                logger.warning("no sign of life could be given: %s", error)
            pause_s = min(AGAIN_AFTER_S, every_s)
