"""Keeps parts alive: starts them as soon as what they need is ready, restarts them, ends them in reverse order.

One thread does it all, on purpose: the kernel's promise to end a child with its parent is bound to
the thread that started it.
"""

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from graphlib import TopologicalSorter
from types import FrameType
from typing import Final

import psutil

from core.errors import DailiesError, StackFailed
from deployments.embedded.kept import Kept, describe_exit, pause_s
from deployments.embedded.logs import rotate, tail
from deployments.embedded.parts import Part
from deployments.embedded.processes import POLL_S, adopt_orphans, end, family, kill, reap_adopted, spawn
from deployments.embedded.state import PartState, PartStatus, Phase

#: A part that was up for this long has proved itself: its next pause is the first one again.
STABLE_S: Final = 60.0
#: How often logs are looked at, seconds.
_LOG_CHECK_S: Final = 30.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _in_order(parts: Sequence[Part]) -> Iterator[Part]:
    """Give the parts so that each comes after those it needs; the reverse is the order to end them in."""
    by_name = {part.name: part for part in parts}
    for name in TopologicalSorter({part.name: part.needs for part in parts}).static_order():
        yield by_name[name]


class Supervisor:
    """Runs parts until it is told to stop; `record` hears of every change, `say` of what a person wants to know."""

    def __init__(
        self,
        parts: Sequence[Part],
        environment: Mapping[str, str],
        *,
        record: Callable[[Phase, tuple[PartStatus, ...]], None] = lambda _phase, _parts: None,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._kept = [Kept(part) for part in _in_order(parts)]
        self._environment = dict(environment)
        self._record = record
        self._say = say
        self._phase = Phase.STARTING
        self._recorded: object = None
        self._told_of_disk = False
        self._stops = 0
        self._logs_checked = time.monotonic()

    def run(self) -> None:
        """Start every part and keep it alive until SIGINT, SIGTERM or SIGHUP; then end them all.

        A second signal ends them at once. The caller's process must have no other children.

        Raises:
            StackFailed: a part did not start the first time; everything was ended again.
        """
        adopt_orphans()
        with self._signals():
            try:
                self._watch()
            finally:
                self._end_all()

    def _watch(self) -> None:
        while not self._stops:
            for kept in self._kept:
                self._advance(kept)
            if self._phase is Phase.STARTING and all(kept.is_settled for kept in self._kept):
                self._phase = Phase.UP
            self._publish()
            reap_adopted(kept.process.pid for kept in self._kept if kept.process)
            self._bound_logs()
            time.sleep(POLL_S if self._phase is Phase.STARTING else 4 * POLL_S)

    def _advance(self, kept: Kept) -> None:
        """Move one part on by at most one state."""
        match kept.state:
            case PartState.WAITING | PartState.RESTARTING:
                if time.monotonic() >= kept.not_before and self._has_what_it_needs(kept):
                    self._start(kept)
            case PartState.STARTING:
                self._check_start(kept)
            case PartState.UP:
                assert kept.process is not None
                if kept.process.poll() is not None:
                    self._restart_later(kept)
                elif kept.is_silent():
                    self._say(f"{kept.part.name:<10} lives and does not answer")
                    self._restart_later(kept)
                elif kept.failures and time.monotonic() - kept.entered > STABLE_S:
                    kept.failures = 0
            case _:
                pass

    def _has_what_it_needs(self, kept: Kept) -> bool:
        return all(other.is_settled for other in self._kept if other.part.name in kept.part.needs)

    def _start(self, kept: Kept) -> None:
        part = kept.part
        rotate(part.log)
        kept.log_mark = part.log.stat().st_size if part.log.exists() else 0
        try:
            part.prepare()
            kept.process = spawn(part, self._environment)
        except (DailiesError, OSError) as error:
            self._failed(kept, f"{part.name} could not be started: {error}")
            return
        kept.enter(PartState.STARTING)

    def _check_start(self, kept: Kept) -> None:
        part, process = kept.part, kept.process
        assert process is not None
        code = process.poll()
        if code is not None:
            if part.is_one_shot and code == 0:
                self._settle(kept, PartState.DONE)
            else:
                self._failed(kept, f"{part.name} ended while it was starting ({describe_exit(code)})")
        elif time.monotonic() - kept.entered > part.start_within_s:
            self._failed(kept, f"{part.name} was not ready after {part.start_within_s:.0f} s")
        elif not part.is_one_shot and part.is_ready():
            try:
                part.complete()
            except DailiesError as error:
                self._failed(kept, f"{part.name} started, but: {error}")
            else:
                self._settle(kept, PartState.UP)

    def _settle(self, kept: Kept, state: PartState) -> None:
        kept.ready_s = time.monotonic() - kept.entered
        kept.enter(state)
        verb = "done" if state is PartState.DONE else "ready"
        again = f"  (restart {kept.restarts})" if kept.restarts else ""
        self._say(f"{kept.part.name:<10} {verb} in {kept.ready_s:4.1f} s{again}  {kept.part.url or ''}".rstrip())

    def _failed(self, kept: Kept, reason: str) -> None:
        """During the first start this ends the stack; later it is one more reason to try again."""
        if self._phase is Phase.STARTING:
            last = tail(kept.part.log, since=kept.log_mark)
            raise StackFailed(f"{reason}\nThe end of {kept.part.log}:\n{last}" if last else reason)
        self._say(reason)
        self._restart_later(kept)

    def _restart_later(self, kept: Kept) -> None:
        if kept.process is not None:
            self._end(kept)
            kept.last_exit = describe_exit(kept.process.returncode)
        kept.restarts += 1
        kept.failures += 1
        wait_s = pause_s(kept.failures)
        kept.not_before = time.monotonic() + wait_s
        kept.enter(PartState.RESTARTING)
        self._say(f"{kept.part.name:<10} ended ({kept.last_exit or 'not started'}); started again in {wait_s:.1f} s")

    def _end(self, kept: Kept) -> None:
        """End one part. Flow runs of a worker that died by itself were adopted: they may finish."""
        if kept.process is not None:
            end(kept.process, kept.part, is_urgent=lambda: self._stops > 1)

    def _end_all(self) -> None:
        self._phase = Phase.STOPPING
        for kept in reversed(self._kept):
            if kept.process is not None and kept.state is not PartState.DONE:
                self._publish()
                self._end(kept)
                kept.last_exit = describe_exit(kept.process.returncode)
            if kept.state is not PartState.DONE:
                kept.enter(PartState.DOWN)
        me = psutil.Process().pid
        kill(p for p in family(me) if p.pid != me)
        reap_adopted(())
        self._publish()

    def _publish(self) -> None:
        seen = (self._phase, tuple(kept.status() for kept in self._kept))
        if seen != self._recorded:
            try:
                self._record(*seen)
            except OSError as error:
                # A full disk must not end what still runs; it is written as soon as there is room.
                if not self._told_of_disk:
                    self._say(f"the state of the stack cannot be written: {error.strerror}; the parts go on")
                self._told_of_disk = True
                return
            self._recorded, self._told_of_disk = seen, False

    def _bound_logs(self) -> None:
        if time.monotonic() - self._logs_checked > _LOG_CHECK_S:
            self._logs_checked = time.monotonic()
            for kept in self._kept:
                rotate(kept.part.log)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(_number: int, _frame: FrameType | None) -> None:
            self._stops += 1

        before = {number: signal.signal(number, stop) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
