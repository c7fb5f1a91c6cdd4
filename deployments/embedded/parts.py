"""What a part of the stack is: a process to keep alive, as a plain value."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deployments.embedded.account import Account


@dataclass(frozen=True, kw_only=True)
class Part:
    """One process of the stack: how to start it, how to tell that it is ready, how to end it."""

    name: str
    argv: tuple[str, ...]
    cwd: Path
    log: Path
    #: Added to the environment of whoever starts it.
    env: Mapping[str, str] = field(default_factory=dict)
    #: Names of the parts that must be ready before this one starts.
    needs: tuple[str, ...] = ()
    #: Address a person or a client uses, if there is one.
    url: str | None = None
    #: Gives True once the part does its work; must not block for more than about a second.
    is_ready: Callable[[], bool] = lambda: True
    #: Run before every start: makes folders and configuration; repeatable.
    prepare: Callable[[], None] = lambda: None
    #: Run once it is ready and before anything that needs it starts; repeatable.
    complete: Callable[[], None] = lambda: None
    #: Run after it has ended: removes what it leaves behind.
    sweep: Callable[[], None] = lambda: None
    #: A part that is done when it exits with 0, such as migrations.
    is_one_shot: bool = False
    #: Who it runs as, when not as the caller.
    account: Account | None = None
    #: Asks it to end in good order.
    stop_signal: signal.Signals = signal.SIGTERM
    #: Sent by the kernel when its supervisor is killed.
    orphan_signal: signal.Signals = signal.SIGKILL
    #: Seconds until it must be ready.
    start_within_s: float = 60.0
    #: Seconds without an answer after which it counts as dead although its process lives; 0 never asks again.
    dead_when_silent_s: float = 0.0
    #: Seconds until it is killed once it was asked to end.
    stop_within_s: float = 10.0
    #: Seconds its children get to end by themselves, asked while it is frozen; 0 asks nobody but itself.
    children_stop_within_s: float = 0.0
