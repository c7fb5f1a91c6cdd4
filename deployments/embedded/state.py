"""What is written down about a stack: its ports, its secrets, and how each part is doing."""

import datetime as dt
import secrets
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import StackFailed
from deployments.embedded.files import write_private
from deployments.embedded.layout import Layout


class Phase(StrEnum):
    """What a stack as a whole is doing."""

    #: Nothing runs.
    DOWN = "down"
    #: Parts are being started, in order.
    STARTING = "starting"
    #: Every part was ready; parts that end are started again.
    UP = "up"
    #: Parts are being ended, in reverse order.
    STOPPING = "stopping"
    #: A part did not start; everything was ended again.
    FAILED = "failed"


class PartState(StrEnum):
    """What one part is doing."""

    #: Its turn has not come: something it needs is not ready.
    WAITING = "waiting"
    #: The process runs and does not yet do its work.
    STARTING = "starting"
    #: It does its work.
    UP = "up"
    #: A one-shot part has ended well.
    DONE = "done"
    #: It ended by itself and is started again after a pause.
    RESTARTING = "restarting"
    #: It is not there.
    DOWN = "down"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class PartStatus(_Record):
    """How one part is doing."""

    name: str
    state: PartState
    pid: int | None = None
    #: How often it was started again after it had ended by itself.
    restarts: int = 0
    #: Since when it is in this state.
    since: dt.datetime
    #: Seconds from the start of its process until it was ready.
    ready_s: float | None = None
    url: str | None = None
    #: How it ended the last time: "exit 1", "signal SIGKILL".
    last_exit: str | None = None
    log: str


class StackSecrets(_Record):
    """Made once, at the first start; never printed."""

    access_key: str = Field(default_factory=lambda: secrets.token_hex(10), repr=False)
    secret_key: str = Field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)
    token: str = Field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)


class StackState(_Record):
    """The content of stack.json."""

    version: Literal[1] = 1
    phase: Phase = Phase.DOWN
    #: Which Dailies its parts run.
    release: str | None = None
    #: Process id of the supervisor that wrote this.
    supervisor: int | None = None
    #: Why the last start failed.
    failure: str | None = None
    ports: dict[str, int] = Field(default_factory=dict)
    secrets: StackSecrets = Field(default_factory=StackSecrets)
    parts: tuple[PartStatus, ...] = ()


def read_state(layout: Layout) -> StackState | None:
    """Read stack.json; None when there is none, or none that makes sense (a power cut, an edit).

    Raises:
        StackFailed: it belongs to another account.
    """
    try:
        return StackState.model_validate_json(layout.state.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
    except PermissionError as error:
        raise StackFailed(
            f"{layout.state} belongs to another account. Use that account, or another folder with --data."
        ) from error


def write_state(layout: Layout, state: StackState) -> None:
    """Replace stack.json."""
    write_private(layout.state, state.model_dump_json(indent=1))


def at_rest(state: StackState, phase: Phase, failure: str | None = None) -> StackState:
    """Give the state of a stack of which nothing runs."""
    parts = tuple(
        part if part.state is PartState.DONE else part.model_copy(update={"state": PartState.DOWN, "pid": None})
        for part in state.parts
    )
    return state.model_copy(update={"phase": phase, "failure": failure, "parts": parts, "supervisor": None})
