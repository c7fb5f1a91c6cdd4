"""A supervisor of stand-in parts in a process of its own, which is where a supervisor lives."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import psutil
import pytest

from deployments.embedded import stack
from deployments.embedded.layout import Layout
from deployments.embedded.leftovers import leftovers
from deployments.embedded.status import StackStatus

ROOT = Path(__file__).parents[2]


def wait_until(look: Callable[[], bool], what: str, deadline_s: float = 30.0) -> None:
    deadline = time.monotonic() + deadline_s
    pause = Event()
    while not look():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {deadline_s} s: {what}")
        pause.wait(0.03)


class StandIn:
    """One data folder, and the supervisors that were started on it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.started: list[subprocess.Popen[str]] = []

    def up(self, scenario: str, *, wait: bool = True) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.stack.stand_in", str(self.data), scenario],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        if wait:
            wait_until(lambda: self.status.supervisor == process.pid and self.status.is_up, "the stack is up")
        return process

    @property
    def status(self) -> StackStatus:
        return stack.status(self.data)

    @property
    def pids(self) -> dict[str, int | None]:
        return {part.name: part.pid for part in self.status.parts}

    @property
    def journal(self) -> list[str]:
        path = self.data / "journal"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def running(self) -> list[psutil.Process]:
        return leftovers(Layout.of(self.data))

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[StandIn]:
    made = StandIn(tmp_path / "data")
    yield made
    made.close()
    stack.stop(made.data)
    assert made.running == []
