"""How an attempt ends: the one place that turns a verdict into a run named Rejected, and an error into a failed video."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.exceptions import Abort
from prefect.flows import Flow
from prefect.states import Completed

from core.agreed import REJECTED, SUPERSEDED
from core.errors import DatabaseUnavailable, InvalidMedia, Superseded, WorkflowRefused, WorkflowUnavailable
from core.failures import describe
from core.logs import bound
from core.settings import get_settings
from core.values import Ticket
from dispatch.failure_page import show_failure
from dispatch.runs import is_still
from flows.alive import signs_of_life
from flows.runner import clear_scratch
from models import attempts
from models.session import transaction
from models.video import Video
from tasks.intake import begin
from tasks.patience import patiently
from tasks.publishing import reject
from tasks.stage import STAGE_NOTE, flow_run_id

#: Begins a note on an error: the attempt that it ended.
_ATTEMPT: Final = "attempt: "
#: What the form in the Prefect UI says of the one parameter.
_FORM: Final = "Args:\n    video_id: the video, by its id (`dailies videos`); something must have been uploaded for it."


def rejects_invalid_media(steps: Callable[[Ticket], None]) -> Callable[[UUID], State[Any] | None]:
    """Run the steps as one attempt at a video; a verdict on its media ends the run as Completed, named Rejected.

    An error fails the run, which then waits for Retry; an attempt that was overtaken ends without a word.
    """

    def attempt(video_id: UUID) -> State[Any] | None:
        with bound(video_id=video_id, run_id=flow_run_id()):
            ticket = begin(video_id)
            try:
                with signs_of_life(get_settings().database, ticket), _told_by(ticket):
                    return _verdict(ticket, steps)
            except Superseded as error:
                return _superseded(ticket, error)
            finally:
                clear_scratch(ticket)

    attempt.__name__, attempt.__qualname__ = steps.__name__, steps.__qualname__
    attempt.__doc__, attempt.__module__ = f"{steps.__doc__}\n\n{_FORM}", steps.__module__
    return attempt


def _verdict(ticket: Ticket, steps: Callable[[Ticket], None]) -> State[Any] | None:
    try:
        steps(ticket)
    except InvalidMedia as verdict:
        reject(ticket, verdict.reason, verdict.sentence, _note(verdict, STAGE_NOTE))
        return Completed(name=REJECTED, message=f"{verdict.reason}: {verdict.sentence}")
    return None


@contextmanager
def _told_by(ticket: Ticket) -> Iterator[None]:
    """Tell the flow's hooks which attempt an error ended; they see the error and nothing else.

    Raises:
        Superseded: another attempt took over, whatever the error: it may have swept this one's files away.
    """
    try:
        yield
    except Exception as error:
        error.add_note(f"{_ATTEMPT}{ticket.attempt}")
        if _is_overtaken(ticket):
            raise Superseded(f"A newer attempt took over while this one failed: {error}") from error
        raise


def _is_overtaken(ticket: Ticket) -> bool:
    try:
        owner = _owner(ticket)
    except DatabaseUnavailable as error:
        _abort_unless_ours(ticket, error)
        return False
    return owner is None or owner.attempt != ticket.attempt


def _superseded(ticket: Ticket, superseded: Superseded) -> State[Any]:
    """End an attempt that another one has overtaken.

    Raises:
        Abort: the other one works for the same run, whose state is no longer this process's to set.
    """
    try:
        owner = _owner(ticket)
    except DatabaseUnavailable as error:
        _abort_unless_ours(ticket, error)
    else:
        if owner is not None and owner.flow_run_id == flow_run_id():
            raise Abort(str(superseded)) from superseded
    return overtaken(superseded)


def overtaken(superseded: Superseded) -> State[Any]:
    """Give the state of a run whose work another attempt has taken over: nothing failed."""
    return Completed(name=SUPERSEDED, message=str(superseded))


def _owner(ticket: Ticket) -> Video | None:
    """Give the video as it is now; a short outage of the database is waited out.

    Raises:
        DatabaseUnavailable: a long one is not.
    """

    def read() -> Video | None:
        with transaction(get_settings().database) as session:
            return session.get(Video, ticket.video_id)

    return patiently(read)


def _abort_unless_ours(ticket: Ticket, unknown: Exception) -> None:
    """Return when nobody began the run again: Prefect has it in the state in which the flow was entered.

    Raises:
        Abort: it has not, or does not answer: often its database is away with ours. The run is then found without a
            process, and resumed.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    try:
        if run and run.state and is_still(run.id, run.state):
            return
    except (WorkflowUnavailable, WorkflowRefused) as error:
        unknown = error
    raise Abort(f"Nobody knows whether attempt {ticket.attempt} was overtaken: {unknown}") from unknown


def note_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - Prefect's signature
    """Move the video to failed when its run fails; reconcile repeats it when this process could not."""
    error = state.result(raise_on_failure=False)
    if not isinstance(error, BaseException):
        error = RuntimeError(state.message or "The run ended without saying why.")
    stage, attempt = _note(error, STAGE_NOTE), _note(error, _ATTEMPT)
    error_class, message = describe(error)
    settings, video_id = get_settings(), UUID(str(flow_run.parameters["video_id"]))

    def fail() -> bool:
        with transaction(settings.database) as session:
            return attempts.fail(
                session,
                video_id,
                stage=stage,
                error_class=error_class,
                message=message,
                # A process that was paused and overtaken must not fail the attempt that overtook it.
                attempt=int(attempt) if attempt else None,
                flow_run_id=flow_run.id,
            )

    # Perhaps the database is what failed.
    if patiently(fail):
        show_failure(settings, video_id, flow_run.id, stage=stage, error_class=error_class, message=message)


def _note(error: BaseException, prefix: str) -> str | None:
    notes = (note.removeprefix(prefix) for note in getattr(error, "__notes__", ()) if note.startswith(prefix))
    return next(notes, None)
