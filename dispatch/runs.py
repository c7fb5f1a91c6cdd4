"""Asking Prefect for runs, by deployment name and with idempotency keys; ten requests make one run."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound, PrefectException, PrefectHTTPStatusError
from prefect.states import Failed, Scheduled

from core.errors import NotFound, WorkflowRefused, WorkflowUnavailable
from models.states import Queue

#: Deployments of the ingest flow are named by the queue they feed; prefect.yaml defines them.
INGEST: Final = "ingest-video"
#: Request timeout and too many requests: the same request may succeed later.
_BUSY: Final = (408, 429)
#: Longest run name shown in the UI before it is cut.
MAX_NAME_CHARS: Final = 80
#: How often a run that is about to end is looked at, seconds.
_POLL_S: Final = 0.3


@contextmanager
def prefect_client() -> Iterator[SyncPrefectClient]:
    """Open a client of the Prefect API.

    Raises:
        WorkflowUnavailable: the server did not answer, is busy, or answered with its own failure (transient).
        WorkflowRefused: it refused the request (permanent).
    """
    with ExitStack() as stack:
        try:
            client = stack.enter_context(get_client(sync_client=True))
        except (httpx.HTTPError, PrefectException, RuntimeError) as error:
            # RuntimeError: the client found no server at PREFECT_API_URL.
            raise WorkflowUnavailable(f"The Prefect server did not answer: {type(error).__name__}") from error
        try:
            yield client
        except PrefectHTTPStatusError as error:
            status = error.response.status_code
            kind = WorkflowUnavailable if status in _BUSY or error.response.is_server_error else WorkflowRefused
            raise kind(f"The Prefect server answered {status}.") from error
        except httpx.HTTPError as error:
            raise WorkflowUnavailable(f"The Prefect server did not answer: {type(error).__name__}") from error
        except PrefectException as error:
            raise WorkflowRefused(f"The Prefect server refused: {type(error).__name__}: {error}") from error


def request_run(source_id: UUID, video_id: UUID, title: str, queue: Queue = Queue.UPLOADS) -> UUID:
    """Ask for the run that ingests one source version; give its id, the same however often this is asked.

    A key is taken only while its run exists: once Prefect has lost the run, the same key makes another one, and
    two processes that ask at the same moment still get one run.

    Raises:
        WorkflowUnavailable: transient.
        WorkflowRefused: permanent.
        NotFound: the deployment does not exist: run bootstrap (permanent).
    """
    parameters = {"video_id": str(video_id)}
    return request(f"{INGEST}/{queue}", parameters, key=f"upload:{source_id}", name=run_name(title, video_id))


def request(
    deployment: str, parameters: dict[str, Any], *, key: str, name: str, tags: Sequence[str] | None = None
) -> UUID:
    """Ask for a run of a deployment; give its id, the same for the same key as long as Prefect has it.

    Args:
        tags: besides those that the deployment gives to its runs.

    Raises:
        WorkflowUnavailable: transient.
        WorkflowRefused: permanent.
        NotFound: the deployment does not exist: run bootstrap (permanent).
    """
    with prefect_client() as client:
        try:
            found = client.read_deployment_by_name(deployment)
        except ObjectNotFound as error:
            raise NotFound(f"Prefect has no deployment {deployment}: run bootstrap.") from error
        run = client.create_flow_run_from_deployment(
            found.id, parameters=parameters, idempotency_key=key, name=name, tags=tags
        )
    return run.id


def run_name(title: str, video_id: UUID) -> str:
    """Name a run so that a person finds it: the title, and enough of the id to tell two apart."""
    return f"{title[:MAX_NAME_CHARS]} ({str(video_id)[:8]})"


def state_of(run_id: UUID) -> State | None:
    """Give the state that Prefect has of a run.

    Raises:
        WorkflowUnavailable: transient.
        WorkflowRefused: permanent; Prefect has no such run, for one.
    """
    with prefect_client() as client:
        return client.read_flow_run(run_id).state


def reschedule(run_id: UUID, patience_s: float = 0.0) -> bool:
    """Set an ended run to scheduled, as Retry in the UI does; False when Prefect no longer has it.

    A run that has not ended is left alone.

    Args:
        patience_s: seconds that a run gets to end, when its video has and it must be about to.
    """
    deadline = time.monotonic() + patience_s
    with prefect_client() as client:
        try:
            run = client.read_flow_run(run_id)
            while run.state and run.state.is_running() and time.monotonic() < deadline:
                time.sleep(_POLL_S)
                run = client.read_flow_run(run_id)
        except ObjectNotFound:
            return False
        if run.state is None or run.state.is_final():
            # Forced, as in UI v2: a Completed (Rejected) run may be retried too.
            client.set_flow_run_state(run_id, Scheduled(name="AwaitingRetry"), force=True)
        return True


def is_still(run_id: UUID, judged: State) -> bool:
    """Say whether a run is in the very state that was judged: a person may have been faster.

    Raises:
        WorkflowUnavailable: transient.
        WorkflowRefused: permanent.
    """
    with prefect_client() as client:
        try:
            now = client.read_flow_run(run_id).state
        except ObjectNotFound:
            return False
    return now is not None and now.id == judged.id


def give_up(run_id: UUID, crashed: State, crashes: int) -> bool:
    """Set a run that crashed once too often to failed: whoever is told of failed runs is told of it; False if it moved on."""
    if not is_still(run_id, crashed):
        return False
    told = f"Crashed {crashes} times; waits for Retry. {crashed.message or f'The run ended {crashed.name}.'}"
    with prefect_client() as client:
        client.set_flow_run_state(run_id, Failed(message=told), force=True)
    return True
