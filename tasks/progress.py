"""How far a chunk is, told to the ledger and on the run's page; what it tells of never waits for it or fails by it."""

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Final, cast
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from core.settings import get_settings
from core.values import Ticket, seconds
from media.launcher import Progress
from models import ledger
from models.ledger import Share
from models.session import transaction

#: Seconds between two tellings; what is done sooner is not told of at all.
EVERY_S: Final = 1.0
#: Tellings of the ledger for each one of the run's page.
_PAGE_EVERY: Final = 3
#: Seconds to wait at the end for a telling that is on its way.
_GRACE_S: Final = 2.0


@contextmanager
def told(ticket: Ticket, entry: UUID | None, share: Share) -> Iterator[Callable[[Progress], None]]:
    """Give what ffmpeg's reports are handed to; a thread of its own tells of the newest one.

    Args:
        entry: of the ledger.
    """
    teller = _Teller(ticket, entry, share)
    # The thread works for the same task run: artifacts are shown on its page.
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(teller.run,), name=f"progress {share.label}", daemon=True)
    thread.start()
    try:
        yield teller.take
        teller.is_done = True
    finally:
        teller.ended.set()
        thread.join(_GRACE_S)


class _Teller:
    def __init__(self, ticket: Ticket, entry: UUID | None, share: Share) -> None:
        self.ended = threading.Event()
        self._ticket, self._entry, self._share = ticket, entry, share
        self._newest: Progress | None = None
        self._artifact: UUID | None = None
        #: What fails stays at what it had reached.
        self.is_done = False

    def take(self, progress: Progress) -> None:
        """Remember the newest report."""
        self._newest = progress

    def run(self) -> None:
        """Tell now and then until the end."""
        count = 0
        try:
            while not self.ended.wait(EVERY_S):
                if (newest := self._newest) is not None:
                    self._tell_ledger(newest)
                    if count % _PAGE_EVERY == 0:
                        self._tell_page(self._percent(newest))
                    count += 1
            if self.is_done and self._artifact is not None:
                self._tell_page(100.0)
        except Exception as error:  # noqa: BLE001 - a courtesy: whatever it meets, the work goes on
            get_run_logger().debug("progress of %s is not told any more: %s", self._share.label, error)

    def _percent(self, progress: Progress) -> float:
        total = float(self._share.media_s or 0)
        return round(min(99.0, 100 * progress.out_time_s / total), 1) if total else 0.0

    def _tell_ledger(self, progress: Progress) -> None:
        if self._entry is None:
            return
        done = min(seconds(progress.out_time_s), self._share.media_s or Decimal(0))
        with transaction(get_settings().database) as session:
            ledger.advance(session, self._entry, done_s=done, fps=progress.fps, speed=progress.speed)

    def _tell_page(self, percent: float) -> None:
        if self._artifact is None:
            key = f"{self._share.label.replace(' ', '-')}-{self._ticket.video_id}"
            made = create_progress_artifact(percent, key=key, description=f"Transcoding {self._share.label}")
            self._artifact = cast("UUID", made)  # typed for both worlds; this one does not await
        else:
            update_progress_artifact(self._artifact, percent)
