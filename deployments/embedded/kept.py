"""One part under supervision: its process, its history, and the arithmetic of its restarts."""

import datetime as dt
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import Final

from deployments.embedded.parts import Part
from deployments.embedded.state import PartState, PartStatus

#: Pause before the first restart and the longest pause, seconds; doubled from one to the next.
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
#: How often a part that is up is asked whether it does its work, seconds.
ASK_EVERY_S: Final = 5.0


def pause_s(failures: int) -> float:
    """Give the pause before a restart: 0.5, 1, 2, 4 ... 30 seconds after 1, 2, 3, 4 ... failures in a row."""
    return min(FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16), LONGEST_PAUSE_S)


def describe_exit(code: int | None) -> str:
    """Say in words how a process ended."""
    if code is None:
        return "not ended"
    if code >= 0:
        return f"exit {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


@dataclass
class Kept:
    """A part and what has become of it."""

    part: Part
    state: PartState = PartState.WAITING
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    failures: int = 0
    #: Monotonic: when it entered its state; when it may be started next.
    entered: float = 0.0
    not_before: float = 0.0
    since: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    ready_s: float | None = None
    last_exit: str | None = None
    #: Monotonic: when it was last asked whether it does its work, and when it last said yes.
    asked: float = 0.0
    answered: float = 0.0
    #: Size of the log when it was last started: what was written before is an older story.
    log_mark: int = 0

    def enter(self, state: PartState) -> None:
        """Note a new state and when it began."""
        self.state, self.entered, self.since = state, time.monotonic(), dt.datetime.now(dt.UTC)

    def is_silent(self) -> bool:
        """Say whether a part that is up has not answered for too long; asks it now and then.

        A Postgres that was asked to end in its slow way, or a process that somebody froze, lives and does nothing.
        """
        now = time.monotonic()
        self.answered = max(self.answered, self.entered)
        if not self.part.dead_when_silent_s or now - self.asked < ASK_EVERY_S:
            return False
        self.asked = now
        if self.part.is_ready():
            self.answered = now
        return now - self.answered > self.part.dead_when_silent_s

    @property
    def is_settled(self) -> bool:
        """Whether parts that need this one may start."""
        return self.state in {PartState.UP, PartState.DONE}

    def status(self) -> PartStatus:
        """Describe it for whoever asks how the stack is."""
        return PartStatus(
            name=self.part.name,
            state=self.state,
            pid=self.process.pid if self.process and self.state in {PartState.STARTING, PartState.UP} else None,
            restarts=self.restarts,
            since=self.since,
            ready_s=self.ready_s,
            url=self.part.url,
            last_exit=self.last_exit,
            log=str(self.part.log),
        )
