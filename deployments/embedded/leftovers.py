"""Finds and ends what a killed supervisor left running.

Every process of a stack inherits a variable that names the data folder, so its whole tree is found
whatever became of its parents. Postgres writes its status line over its environment; its sessions are
known by their working directory.
"""

import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from deployments.embedded.layout import Layout
from deployments.embedded.processes import kill, tell, wait_until_gone

#: Names the data folder in the environment of every process of a stack.
MARK: Final = "DAILIES_STACK"
#: Parts that keep files are asked first, with the signal that makes them write what they hold.
_ASKED: Final = {"postgres": signal.SIGINT, "weed": signal.SIGTERM}
#: Seconds they get.
_PATIENCE_S: Final = 10.0


def leftovers(layout: Layout) -> list[psutil.Process]:
    """List the processes of this stack, and their descendants, but not the caller or its ancestors."""
    me = psutil.Process()
    spared = {me.pid, *(p.pid for p in me.parents())}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        if process.pid in spared or process.pid in found or not _belongs(process, layout):
            continue
        found[process.pid] = process
        try:
            found.update({child.pid: child for child in process.children(recursive=True)})
        except psutil.NoSuchProcess:
            continue
    return [p for pid, p in found.items() if pid not in spared]


def end_leftovers(layout: Layout) -> list[str]:
    """End them all, the database and the store in good order; give their names."""
    found = leftovers(layout)
    names = []
    for process in found:
        with suppress(psutil.NoSuchProcess):
            names.append(name := process.name())
            tell([process], _ASKED.get(name, signal.SIGKILL))
    kill(wait_until_gone(found, _PATIENCE_S))
    return sorted(set(names))


def _belongs(process: psutil.Process, layout: Layout) -> bool:
    try:
        if process.environ().get(MARK) == str(layout.data):
            return True
        return process.name() == "postgres" and Path(process.cwd()).is_relative_to(layout.postgres)
    except (psutil.Error, OSError):  # gone, or another account's
        return False
