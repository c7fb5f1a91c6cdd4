"""Starts and ends processes so that none is ever left behind, whoever is killed first."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import psutil

from core.errors import MissingDependency
from deployments.embedded.parts import Part

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
#: Loaded before any fork: a child between fork and exec may not take locks.
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
#: How often waiting loops look, seconds.
POLL_S: Final = 0.05


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, so that none escapes a stop."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _dies_with_parent(parent: int, orphan_signal: signal.Signals) -> Callable[[], None]:
    """Ask the kernel, from inside the child, for a signal when the thread that started it is gone."""

    def ask() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and the line above
            os._exit(1)

    return ask


def spawn(part: Part, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a part in a session of its own; what it writes goes to its log.

    The child is bound to the calling thread: call this from a thread that lives as long as the part.
    A session of its own keeps a Ctrl-C in the terminal away from it: the supervisor ends parts in order.

    Raises:
        MissingDependency: its program is not there, or its account may not run it.
    """
    account = part.account
    part.log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.log.open("ab") as log:
            return subprocess.Popen(
                part.argv,
                cwd=part.cwd,
                env={**environment, **part.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=_dies_with_parent(os.getpid(), part.orphan_signal),  # noqa: PLW1509 - one thread, one C call
            )
    except (FileNotFoundError, PermissionError) as error:
        who = f"the account {account.name}" if account else "you"
        raise MissingDependency(
            f"{part.name} cannot be started ({error}). If the program is there, {who} may not run it: "
            "run dailies as a plain user, or let others read its folder and pass through the parents."
        ) from error


def family(pid: int) -> list[psutil.Process]:
    """List a process and all its descendants that live now."""
    try:
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def reap_adopted(own: Iterable[int]) -> None:
    """Collect adopted children that have ended; those in `own` are collected by who started them."""
    spared = set(own)
    try:
        while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if ended.si_pid in spared:
                return
            os.waitpid(ended.si_pid, 0)
    except ChildProcessError:
        return


def is_alive(process: psutil.Process) -> bool:
    """Say whether a process runs; one that has ended and waits to be collected does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(
    processes: Iterable[psutil.Process], patience_s: float, is_urgent: Callable[[], bool] = lambda: False
) -> list[psutil.Process]:
    """Wait for processes to end, and give those that did not."""
    deadline = time.monotonic() + patience_s
    alive = [p for p in processes if is_alive(p)]
    while alive and time.monotonic() < deadline and not is_urgent():
        time.sleep(POLL_S)
        alive = [p for p in alive if is_alive(p)]
    return alive


def tell(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Send a signal; those already gone are no error."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def kill(processes: Iterable[psutil.Process], patience_s: float = 5.0) -> None:
    """Kill processes and wait until they are gone."""
    listed = list(processes)
    tell(listed, signal.SIGKILL)
    wait_until_gone(listed, patience_s)


def end(process: subprocess.Popen[bytes], part: Part, is_urgent: Callable[[], bool] = lambda: False) -> None:
    """Ask a part to end, wait for it, kill it when it does not, and kill what it leaves behind.

    Args:
        is_urgent: asked while waiting; True ends the wait.
    """
    relatives = family(process.pid)
    if process.poll() is None:
        if part.children_stop_within_s:
            _end_children(process, part, is_urgent)
        process.send_signal(part.stop_signal)
        process.send_signal(signal.SIGCONT)  # one that is frozen hears nothing else but SIGKILL
        deadline = time.monotonic() + part.stop_within_s
        while process.poll() is None and time.monotonic() < deadline and not is_urgent():
            time.sleep(POLL_S)
        relatives += [p for p in family(process.pid) if p not in relatives]
        process.kill()
        process.wait()
    kill(p for p in relatives if p.pid != process.pid)
    part.sweep()


def _end_children(process: subprocess.Popen[bytes], part: Part, is_urgent: Callable[[], bool]) -> None:
    """Ask a part's children to end while the part itself is frozen, so that it starts no others."""
    process.send_signal(signal.SIGSTOP)
    children = [p for p in family(process.pid)[1:] if p.ppid() == process.pid]
    tell(children, signal.SIGTERM)
    wait_until_gone(children, part.children_stop_within_s, is_urgent)


def wait_until_ready(process: subprocess.Popen[bytes], part: Part) -> bool:
    """Wait until a part is ready; False when it ended or ran out of time."""
    deadline = time.monotonic() + part.start_within_s
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        if part.is_ready():
            return True
        time.sleep(POLL_S)
    return False
