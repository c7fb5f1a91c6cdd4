"""How an attempt ends: the one place that turns a verdict into a run named Rejected, and an error into a failed video."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.states import Completed

from core.errors import InvalidMedia
from core.failures import describe
from core.settings import get_settings
from core.values import Ticket
from models import attempts
from models.session import transaction
from tasks import scratch
from tasks.intake import begin
from tasks.publishing import reject


def rejects_invalid_media(steps: Callable[[Ticket], None]) -> Callable[[UUID], State[Any] | None]:
    """Run the steps as one attempt at a video; a verdict on its media ends the run as Completed, named Rejected.

    Nothing else is caught: an error fails the run, which then waits for Retry.
    """

    def attempt(video_id: UUID) -> State[Any] | None:
        ticket = begin(video_id)
        try:
            steps(ticket)
        except InvalidMedia as verdict:
            reject(ticket, verdict.reason, verdict.sentence)
            return Completed(name="Rejected", message=f"{verdict.reason}: {verdict.sentence}")
        finally:
            scratch.clear(ticket)
        return None

    attempt.__name__, attempt.__qualname__ = steps.__name__, steps.__qualname__
    attempt.__doc__, attempt.__module__ = steps.__doc__, steps.__module__
    return attempt


def note_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - Prefect's signature
    """Move the video to failed when its run fails; reconcile repeats it when this process could not."""
    error = state.result(raise_on_failure=False)
    if not isinstance(error, BaseException):
        error = RuntimeError(state.message or "The run ended without saying why.")
    stage = next(
        (note.removeprefix("stage: ") for note in getattr(error, "__notes__", ()) if note.startswith("stage: ")), None
    )
    error_class, message = describe(error)
    with transaction(get_settings().database) as session:
        attempts.fail(
            session,
            UUID(str(flow_run.parameters["video_id"])),
            stage=stage,
            error_class=error_class,
            message=message,
            attempt=None,
        )
