"""Backfill: bring published videos to today's recipe of a stage; what serves them meanwhile stays as it is.

Nothing of it is remembered anywhere but in what it works on: which videos lack a recipe stands in `video_stage`, which
were asked for in Prefect, under one key a video and recipe. So it may be run twice, and after a crash it goes on.
"""

import datetime as dt
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from threading import Event
from typing import Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from core.settings import Settings
from dispatch.asking import Leave, ask, take_leave
from dispatch.following import Asked, has_ended, note_ended, states_of
from dispatch.planning import Plan, Selection, Target, at_once, page, prepare
from models.lacking import Candidate, Lack
from models.session_lock import SessionLock

#: Runs that wait for those that run: enough that no worker is idle between two looks.
WAITING: Final = 10
#: What lacks the recipe, in this order: what failed comes last, or a few videos that never can be done would use up
#: the budget of every day.
_IN_TURN: Final = (Lack.MISSING, Lack.STALE, Lack.FAILED)
#: Seconds between two looks at the runs that were asked for.
POLL_S: Final = 2.0


class End(StrEnum):
    """How a backfill ends; the value is the name of its run's state."""

    DONE = "Completed"
    BUDGET = "BudgetSpent"
    ELSEWHERE = "AnotherAtWork"


class Step(BaseModel):
    """How far a backfill is."""

    model_config = ConfigDict(frozen=True)

    done: int
    #: Runs that ended without the recipe: see them in the Prefect UI; the next backfill resumes them.
    failed: int
    #: Asked for and not ended.
    going: int
    #: None while it goes on.
    end: End | None = None
    #: Why it ends before everything is done; empty otherwise.
    note: str = ""


def utc_now() -> dt.datetime:
    """Tell the time."""
    return dt.datetime.now(dt.UTC)


def _lock_name(settings: Settings, selection: Selection, aim: Target) -> str:
    return f"backfill:{selection.owner or settings.owner_id}:{aim.column.stage}:{aim.column.encoder_id}"


class Backfill:
    """One backfill at work; there is no other of its stage and space meanwhile."""

    def __init__(
        self,
        settings: Settings,
        selection: Selection,
        planned: Plan,
        *,
        per_minute: int,
        daily_budget: int,
        poll_s: float = POLL_S,
        clock: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        self._settings, self._selection, self._aim = settings, selection, planned.target
        self._gap_s, self._daily_budget, self._poll_s, self._clock = 60 / per_minute, daily_budget, poll_s, clock
        self._lock = SessionLock(settings.database, _lock_name(settings, selection, self._aim))
        self._most_going = at_once(settings, self._aim) + WAITING
        self._pause = Event()
        self._is_prepared = False
        #: Not asked for yet, and whether the first of them is counted in the budget.
        self._page: deque[Candidate] = deque()
        self._is_counted = False
        #: Which videos are asked for now, and which after them.
        self._lacks = deque([selection.state] if selection.state else _IN_TURN)
        #: Where the next page of these begins.
        self._after: Candidate | None = None
        #: Videos that failed in this backfill: the next one takes them again.
        self._failures: set[UUID] = set()
        self._going: dict[UUID, Asked] = {}
        self._spent_on: dt.date | None = None
        self._done = self._failed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._lock.__exit__()

    def advance(self) -> Step:
        """Ask for one video's run, or look after those that were asked for.

        Raises:
            WorkflowUnavailable, DatabaseUnavailable: transient; called again, it goes on.
            WorkflowRefused, NotFound: permanent.
        """
        if self._page:
            self._ask_for_next()
            return self._step()
        if not self._lock.held():
            note = f"Another backfill of {self._aim.column.stage} is at work here; what this one lacks is left to it."
            return self._step(End.ELSEWHERE, note)
        if not self._is_prepared:
            prepare(self._settings, self._selection, self._aim)
            self._is_prepared = True
        has_moved = self._look()
        room = self._most_going - len(self._going)
        if room > 0 and not self._is_spent:
            self._page += self._next(room)
        if not self._going and not self._page:
            note = f"The budget of {self._daily_budget} videos a day is used up." if self._is_spent else ""
            return self._step(End.BUDGET if note else End.DONE, note)
        if not has_moved and not self._page:
            self._pause.wait(self._poll_s)
        return self._step()

    @property
    def _is_spent(self) -> bool:
        return self._spent_on == self._clock().date()

    def _ask_for_next(self) -> None:
        one = self._page[0]
        if not self._is_counted:
            leave = take_leave(self._settings, self._aim, one.video_id, self._daily_budget)
            if leave is Leave.REFUSED:
                self._spent_on = self._clock().date()
                self._page.clear()
                return
            self._is_counted = leave is Leave.GRANTED
        if self._is_counted:
            self._going[ask(self._settings, self._aim, one.video_id)] = Asked(one.video_id)
        else:
            self._done += 1  # somebody else did it meanwhile
        gap_s = self._gap_s if self._is_counted else 0.0
        self._after, self._is_counted = self._page.popleft(), False
        self._pause.wait(gap_s)

    def _look(self) -> bool:
        """Take out what has ended; say whether there was any."""
        states, now = states_of(list(self._going)), self._clock()
        ended = {
            run_id
            for run_id, asked in self._going.items()
            if has_ended(self._settings, self._aim, run_id, asked, states.get(run_id), now)
        }
        videos = {self._going[run_id].video_id: states.get(run_id) for run_id in ended}
        done = note_ended(self._settings, self._aim, videos)
        for run_id in ended:  # not before: what could not be noted is looked at again
            del self._going[run_id]
        self._failures |= videos.keys() - done
        self._done, self._failed = self._done + len(done), self._failed + len(videos) - len(done)
        return bool(ended)

    def _next(self, room: int) -> list[Candidate]:
        """Give the next videos to ask for; an empty list when there are none."""
        while True:
            selection = self._selection.model_copy(update={"state": self._lacks[0]})
            found = page(self._settings, selection, self._aim, self._after, room)
            tried = self._failures.union(asked.video_id for asked in self._going.values())
            if fresh := [one for one in found if one.video_id not in tried]:
                return fresh
            if found:
                self._after = found[-1]
            elif len(self._lacks) > 1:
                self._lacks.popleft()
                self._after = None
            else:
                return []

    def _step(self, end: End | None = None, note: str = "") -> Step:
        return Step(done=self._done, failed=self._failed, going=len(self._going), end=end, note=note)
