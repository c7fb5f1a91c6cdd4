"""What every cached stage has in common: retries, cache key, ledger entry and a readable name."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from core.settings import get_settings
from core.stages import Stage
from core.values import Ticket
from models import ledger
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


def stage_task(stage: Stage, *, name: Callable[..., str], task_run_name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a stage's body a Prefect task whose result is kept under its fingerprint.

    Args:
        name: gives the fingerprint; takes the settings and then the body's own arguments.
        task_run_name: what the Prefect UI shows; a format string over the body's arguments.
    """

    def decorate(body: Callable[P, R]) -> Task[P, R]:
        signature = inspect.signature(body)

        def fingerprint(arguments: dict[str, Any]) -> str:
            return name(get_settings(), **arguments)

        def cache_key(_context: TaskRunContext, arguments: dict[str, Any]) -> str:
            return keys.manifest(arguments["ticket"].video_id, stage, fingerprint(arguments))

        def note_reuse(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> None:
            if state.name != CACHED or (context := TaskRunContext.get()) is None:
                return
            ticket: Ticket = context.parameters["ticket"]
            with transaction(get_settings().database) as session:
                ledger.reuse(session, ticket, stage, fingerprint(context.parameters), flow_run_id())

        @functools.wraps(body)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            arguments = signature.bind(*args, **kwargs).arguments
            with entered(arguments["ticket"], stage, fingerprint(arguments)):
                result = body(*args, **kwargs)
                faults.reached(stage, faults.Moment.BEFORE, arguments["ticket"].video_id)
                return result

        policy = POLICY[stage]
        return task(
            name=str(stage),
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


@contextmanager
def entered(ticket: Ticket, stage: Stage, fingerprint: str | None) -> Iterator[UUID]:
    """Keep one execution of a stage in the ledger, however it ends; give its entry."""
    settings = get_settings().database
    with transaction(settings) as session:
        entry = ledger.start(session, ticket, stage, fingerprint, flow_run_id())
    try:
        with full_disk():
            yield entry
    except Exception as error:
        error_class, message = describe(error)
        if isinstance(error, InvalidMedia):
            error_class = f"InvalidMedia:{error.reason}"
        # Told on the error itself, because the flow's hooks see the error and not the task.
        error.add_note(f"{STAGE_NOTE}{stage}")
        _write(lambda session: ledger.fail(session, entry, error_class, message))
        raise
    _write(lambda session: ledger.finish(session, entry))


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
