"""What every cached stage has in common: retries, cache key, ledger entry and a readable name."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, ParamSpec, TypeVar
from uuid import UUID

from prefect import get_run_logger, task
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import FlowRunContext, TaskRunContext
from prefect.tasks import Task
from sqlalchemy.orm import Session

from core import faults
from core.errors import InvalidMedia, TransientError
from core.failures import describe
from core.logs import bound
from core.settings import get_settings
from core.stages import Part, Stage
from core.values import Ticket
from models import attempts, ledger
from models.ledger import Share
from models.session import transaction
from storage import keys
from tasks.patience import patiently
from tasks.retries import JITTER, POLICY, is_transient
from tasks.scratch import full_disk

P = ParamSpec("P")
R = TypeVar("R")

#: Name Prefect gives a task run's final state when the result was in the store.
CACHED: Final = "Cached"
#: Begins a note on an error: the stage it came from.
STAGE_NOTE: Final = "stage: "


#: The ledger's entry of the execution that this thread is in.
_entry: Final[ContextVar[UUID | None]] = ContextVar("ledger entry", default=None)


def stage_task(
    stage: Stage,
    *,
    name: Callable[..., str],
    task_run_name: str,
    part: Part | None = None,
    share: Callable[..., Share | None] = lambda **_: None,
    media_s: Callable[..., Decimal | None] = lambda **_: None,
) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a stage's body a Prefect task whose result is kept under its fingerprint.

    Args:
        part: the task does a share of the stage, whose result lies in a folder of its own.
        share: says which share; takes the body's own arguments.
        media_s: gives the seconds of media time it works through, where the share does not; takes the same.
        name: gives the fingerprint; takes the settings and then the body's own arguments.
        task_run_name: what the Prefect UI shows; a format string over the body's arguments.
    """
    folder = part or stage

    def decorate(body: Callable[P, R]) -> Task[P, R]:
        signature = inspect.signature(body)

        def fingerprint(arguments: dict[str, Any]) -> str:
            return name(get_settings(), **arguments)

        def cache_key(_context: TaskRunContext, arguments: dict[str, Any]) -> str:
            return keys.manifest(arguments["ticket"].video_id, folder, fingerprint(arguments))

        def note_reuse(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> None:
            if state.name != CACHED or (context := TaskRunContext.get()) is None:
                return
            arguments = context.parameters
            with transaction(get_settings().database) as session:
                ledger.reuse(
                    session, arguments["ticket"], stage, fingerprint(arguments), flow_run_id(), share(**arguments)
                )

        @functools.wraps(body)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            arguments = signature.bind(*args, **kwargs).arguments
            with entered(arguments["ticket"], stage, fingerprint(arguments), share(**arguments), media_s(**arguments)):
                result = body(*args, **kwargs)
                faults.reached(folder, faults.Moment.BEFORE, arguments["ticket"].video_id)
                return result

        policy = POLICY[stage]
        return task(
            name=str(folder),
            task_run_name=task_run_name,
            cache_key_fn=cache_key,
            persist_result=True,
            # Readable in the bucket, and it is what the files a result names are read from.
            result_serializer="json",
            # The record in the bucket is the truth: a copy in memory would hide a deleted file.
            cache_result_in_memory=False,
            retries=policy.retries,
            retry_delay_seconds=policy.delays_s,
            retry_jitter_factor=JITTER,
            retry_condition_fn=is_transient,
            on_completion=[note_reuse],
        )(run)

    return decorate


@dataclass(frozen=True)
class OfStage(ContextDecorator):
    """Tells an error which stage it ended, be it in the stage or on the way to it; decorates a task's body, too.

    Told on the error itself, because the flow's hooks see the error and not the task. A class and no generator: the
    tasks that it decorates travel to the workers of a Dask cluster.
    """

    stage: Stage

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Note the stage on what ended the body; it is raised on."""
        if isinstance(error, Exception):
            error.add_note(f"{STAGE_NOTE}{self.stage}")


@contextmanager
def entered(
    ticket: Ticket,
    stage: Stage,
    fingerprint: str | None,
    share: Share | None = None,
    media_s: Decimal | None = None,
) -> Iterator[UUID]:
    """Keep one execution of a stage in the ledger, however it ends; give its entry."""
    settings = get_settings().database
    with transaction(settings) as session:
        # A process that was thought dead, and wakes, ends here: the ledger tells of the newest attempt alone.
        attempts.require_newest(session, ticket)
        entry = ledger.start(session, ticket, stage, fingerprint, flow_run_id(), share)
    token = _entry.set(entry)
    try:
        with OfStage(stage), bound(video_id=ticket.video_id, run_id=flow_run_id(), stage=stage), full_disk():
            yield entry
    except Exception as error:
        error_class, message = describe(error)
        is_verdict = isinstance(error, InvalidMedia)
        if isinstance(error, InvalidMedia):
            error_class = f"InvalidMedia:{error.reason}"
        _write(lambda session: ledger.fail(session, entry, error_class, message, is_verdict=is_verdict))
        raise
    finally:
        _entry.reset(token)
    _write(lambda session: ledger.finish(session, entry, media_s))


def current_entry() -> UUID | None:
    """Give the ledger's entry of the execution that this code is part of, if any."""
    return _entry.get()


def _write(change: Callable[[Session], None]) -> None:
    """Change the ledger; an outage is waited out and then only logged, for the stage's own end is what counts."""

    def write() -> None:
        with transaction(get_settings().database) as session:
            change(session)

    try:
        patiently(write)
    except TransientError as error:
        get_run_logger().warning("the ledger does not say how this stage ended: %s", error)


def flow_run_id() -> UUID | None:
    """Give the id of the flow run this code works for, if any."""
    context = FlowRunContext.get()
    return context.flow_run.id if context and context.flow_run else None
