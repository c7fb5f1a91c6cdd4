"""Background work of the service: new inbox rows are dispatched, and what was lost is looked for again and again."""

import datetime as dt
import logging
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

from core.settings import Settings

log = logging.getLogger(__name__)

#: Something to do again and again; what it raises is logged, and it is done again soon.
Job = Callable[[Settings], object]

#: Seconds from the start of the service to the first dispatch: rows may wait from before.
DISPATCH_AFTER_S: Final = 1.0
#: Seconds from the start of the service to the first reconcile.
RECONCILE_AFTER_S: Final = 5.0
#: How often the runs of videos at work are looked at: one query of the database, two of Prefect, by key and by state. Those that
#: wait for their first attempt are looked at by reconcile.
SETTLE_EVERY: Final = dt.timedelta(seconds=5)
#: Seconds after a pass that failed until the next one; doubled each time up to the usual period.
FIRST_RETRY_S: Final = 2.0


def dispatch_inbox(settings: Settings) -> object:
    """Ask Prefect for the runs of waiting inbox rows."""
    # Imported here and below: the Prefect client takes a second to import, and the service answers before that.
    from dispatch.inbox import dispatch_waiting

    return dispatch_waiting(settings)


def reconcile_all(settings: Settings) -> object:
    """Find what was lost and set it right; one process at a time does, whoever asks."""
    from dispatch.reconcile import reconcile

    return reconcile(settings)


def settle_runs(settings: Settings) -> object:
    """Follow the runs of live videos: resume what crashed, mark what failed, let the next ones of a redrive begin."""
    from dispatch.redrive import advance
    from dispatch.settle import settle

    return settle(settings, begun_only=True), advance(settings)


class Repeated:
    """A thread that does one job: when it is woken, and every period.

    A single thread also means that a slow Prefect costs the requests nothing: a hundred wakes while one pass
    runs cause one more pass.
    """

    def __init__(
        self, job: Job, settings: Settings, *, first_after_s: float, period: dt.timedelta | None = None
    ) -> None:
        self._job = job
        self._settings = settings
        self._period_s = (period or settings.service.reconcile_every).total_seconds()
        self._first_after_s = min(first_after_s, self._period_s)
        self._woken = Event()
        self._ending = Event()
        self._thread = Thread(target=self._run, name=job.__name__, daemon=True)

    def start(self) -> None:
        """Begin; the first pass follows in a moment."""
        self._thread.start()

    def wake(self) -> None:
        """Ask for a pass now; returns at once."""
        self._woken.set()

    def stop(self, patience_s: float = 3.0) -> None:
        """End the thread; a pass that hangs is left behind, its work is found by the next sweep."""
        self._ending.set()
        self._woken.set()
        self._thread.join(patience_s)

    def _run(self) -> None:
        pause_s, failures = self._first_after_s, 0
        while True:
            self._woken.wait(pause_s)
            self._woken.clear()
            if self._ending.is_set():
                return
            failures = 0 if self._succeeds() else failures + 1
            pause_s = self._period_s
            if failures:
                pause_s = min(self._period_s, FIRST_RETRY_S * 2 ** min(failures - 1, 10))

    def _succeeds(self) -> bool:
        try:
            self._job(self._settings)
        except Exception as error:  # noqa: BLE001 - nothing that a pass raises may end the service
            log.warning("%s: %s: %s", self._job.__name__, type(error).__name__, error)
            return False
        return True
