"""The embedded stack's front door: start it, stop it, ask how it is, reach it."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from core.errors import NotFound, StackFailed
from deployments.embedded import lock
from deployments.embedded.application import code_folder
from deployments.embedded.environment import environment_for
from deployments.embedded.layout import Layout
from deployments.embedded.leftovers import end_leftovers
from deployments.embedded.logs import rotate, tail
from deployments.embedded.processes import wait_until_gone
from deployments.embedded.state import Phase, StackState, at_rest, read_state, write_state
from deployments.embedded.status import StackStatus

__all__ = ["StackStatus", "environment", "start", "status", "stop"]

#: Seconds until a supervisor that was asked to end is killed: the parts' own deadlines, in a row, and some more.
STOP_WITHIN_S: Final = 120.0
_POLL_S: Final = 0.1


def start(data: Path, *, detach: bool, say: Callable[[str], None] = print) -> bool:
    """Start the stack of this data folder; `say` is told a line a part.

    Attached, this blocks until SIGINT or SIGTERM and leaves nothing behind; call it from the main thread of a
    process that has no other children. Detached, it returns once every part is ready.

    Returns:
        False when it was running already; `say` was told where.
    Raises:
        StackFailed: a part did not start; the end of its log is in the message.
    """
    layout = Layout.of(data)
    layout.make()
    if lock.holder(layout.lock) is None:
        with suppress(lock.AlreadyLocked):  # another start was a moment faster
            if detach:
                _start_detached(layout, say)
            else:
                from deployments.embedded.assembly import supervise  # its drivers cost `status` half a second

                supervise(layout, say)
            return True
    _wait_until_up(layout, lambda: lock.holder(layout.lock) is not None)
    say("already running:")
    for part in status(data).parts:
        if part.url:
            say(f"{part.name:<10} {part.url}")
    return False


def stop(data: Path) -> bool:
    """End the stack of this data folder and whatever is left of it; False when nothing ran."""
    layout = Layout.of(data)
    ran = _stop_supervisor(layout)
    left = end_leftovers(layout)
    state = read_state(layout)
    if state is not None and state.phase not in {Phase.DOWN, Phase.FAILED}:
        write_state(layout, at_rest(state, Phase.DOWN))
    return ran or bool(left)


def status(data: Path) -> StackStatus:
    """Say how the stack of this data folder is, running or not.

    Raises:
        StackFailed: the folder belongs to another account.
    """
    layout = Layout.of(data)
    state = read_state(layout) or StackState()
    if lock.holder(layout.lock) is None and state.phase not in {Phase.DOWN, Phase.FAILED}:
        state = at_rest(state, Phase.DOWN, "its supervisor was killed; `dailies up` goes on from there")
    return StackStatus.of(layout, state)


def environment(data: Path) -> dict[str, str]:
    """Give the variables with which a command or process reaches this stack; holds secrets.

    Raises:
        NotFound: there has never been a stack here.
    """
    layout = Layout.of(data)
    state = read_state(layout)
    if state is None or not state.ports:
        raise NotFound(
            f"there is no stack in {layout.data}. Start one with `dailies up`, or name its folder with --data."
        )
    return environment_for(layout, state)


def _start_detached(layout: Layout, say: Callable[[str], None]) -> None:
    """Start a supervisor that outlives this process, and pass on what it says until the stack is up."""
    log = layout.log("supervisor")
    rotate(log)
    with log.open("ab") as output, log.open() as said:
        said.seek(0, 2)
        supervisor = subprocess.Popen(
            (sys.executable, "-m", "deployments.embedded", str(layout.data)),
            cwd=code_folder(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

        def is_alive() -> bool:
            for line in said:
                say(line.rstrip("\n"))
            return supervisor.poll() is None

        try:
            _wait_until_up(layout, is_alive)
        except BaseException:
            supervisor.terminate()
            supervisor.wait(STOP_WITHIN_S)
            raise
    supervisor.returncode = 0  # it is meant to outlive us: no warning that nobody waits for it


def _wait_until_up(layout: Layout, is_alive: Callable[[], bool]) -> None:
    """Wait for a start that another process makes.

    Raises:
        AlreadyLocked: it ended because yet another process holds the lock.
        StackFailed: it did not come up.
    """
    while is_alive():
        holder = lock.holder(layout.lock)
        state = read_state(layout)
        if state is not None and state.phase is Phase.UP and state.supervisor == holder:
            return
        time.sleep(_POLL_S)
    if lock.holder(layout.lock) is not None:
        raise lock.AlreadyLocked
    state = read_state(layout)
    if state is not None and state.phase is Phase.FAILED and state.failure:
        raise StackFailed(state.failure)
    raise StackFailed(f"the start was broken off. {tail(layout.log('supervisor'), 5)}")


def _stop_supervisor(layout: Layout) -> bool:
    """Ask whoever holds the lock to end, kill it when it does not; False when nobody holds it."""
    deadline = time.monotonic() + STOP_WITHIN_S
    asked: set[int] = set()
    while (pid := lock.holder(layout.lock)) is not None:
        with suppress(psutil.NoSuchProcess):
            if pid > 0 and pid not in asked:
                asked.add(pid)
                psutil.Process(pid).terminate()
            elif pid > 0 and time.monotonic() > deadline:
                psutil.Process(pid).kill()
        time.sleep(_POLL_S)
    for pid in asked:  # the lock is dropped an instant before its process is gone
        with suppress(psutil.NoSuchProcess):
            wait_until_gone([psutil.Process(pid)], 5.0)
    return bool(asked)
