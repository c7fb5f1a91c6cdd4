"""Faults on purpose: tests arm one at a boundary between two writes, and the process that reaches it fails there.

Nothing happens unless DAILIES_FAULTS names a folder; only test stacks set it. A file in it named
`{video id}.{write}.{moment}` holds what is to happen; it is renamed before it does, so each happens once.
"""

import os
import signal
from enum import StrEnum
from pathlib import Path
from typing import Final
from uuid import UUID

from core.errors import DatabaseUnavailable, ScratchFull
from core.stages import Part, Stage

VARIABLE: Final = "DAILIES_FAULTS"
#: Everything an attempt writes that others rely on: a result record, or a commit. Named as its task is, in order.
#: The plan is none, but what comes after it relies on it all the same.
WRITES: Final = (
    *("begin", Stage.VALIDATE, "accept", "plan", Part.SOUND, Part.CHUNK),
    *(Stage.TRANSCODE, Stage.SHOTS, Stage.STILLS, "spaces", Stage.EMBED, Stage.PUBLISH),
    "reject",
)
#: Not a write: the source is about to be copied to scratch.
SCRATCH: Final = "scratch"
#: Ending of a fault that has happened.
TAKEN: Final = ".taken"


class Moment(StrEnum):
    """Where, seen from a write."""

    BEFORE = "before"
    AFTER = "after"


class Fault(StrEnum):
    """What happens."""

    #: The process ends as by `kill -9`.
    KILL = "kill"
    #: A bug: an exception nobody expects.
    RAISE = "raise"
    #: The answer to the write is lost; before the write, the request is.
    LOSE = "lose"
    #: Scratch has no space left.
    FULL = "full"


def armed(folder: Path, video_id: UUID | str, write: str, moment: Moment) -> Path:
    """Give the file that arms a fault."""
    return folder / f"{video_id}.{write}.{moment}"


def reached(write: str, moment: Moment, video_id: UUID | str) -> None:
    """Fail here, once, when a test asked for it.

    Raises:
        DatabaseUnavailable, ScratchFull: as a lost answer or a full disk (transient).
        RuntimeError: as a bug.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        return
    waiting = armed(Path(folder), video_id, write, moment)
    taken = waiting.with_name(waiting.name + TAKEN)
    try:
        waiting.rename(taken)
    except FileNotFoundError:
        return
    match Fault(taken.read_text().strip()):
        case Fault.KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        case Fault.RAISE:
            raise RuntimeError(f"a fault on purpose {moment} {write}")
        case Fault.LOSE:
            raise DatabaseUnavailable(f"A fault on purpose {moment} {write}: no answer came.")
        case Fault.FULL:
            raise ScratchFull("A fault on purpose: scratch is full.")
