"""Asking Prefect for runs, by deployment name and with idempotency keys; ten requests make one run."""

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Scheduled

from core.errors import NotFound, WorkflowUnavailable
from models.states import Queue

#: Deployments of the ingest flow are named by the queue they feed; prefect.yaml defines them.
INGEST: Final = "ingest-video"
#: Longest run name shown in the UI before it is cut.
MAX_NAME_CHARS: Final = 80
#: How often a run that is about to end is looked at, seconds.
_POLL_S: Final = 0.3


@contextmanager
def prefect_client() -> Iterator[SyncPrefectClient]:
    """Open a client of the Prefect API.

    Raises:
        WorkflowUnavailable: the server did not answer, or answered with its own failure (transient).
    """
    try:
        with get_client(sync_client=True) as client:
            yield client
    except PrefectHTTPStatusError as error:
        if error.response.is_server_error:
            raise WorkflowUnavailable(f"The Prefect server answered {error.response.status_code}.") from error
        raise
    except (httpx.HTTPError, RuntimeError) as error:
        # RuntimeError: the client found no server at PREFECT_API_URL.
        raise WorkflowUnavailable(f"The Prefect server did not answer: {type(error).__name__}") from error


def request_run(source_id: UUID, video_id: UUID, title: str, queue: Queue = Queue.UPLOADS, redispatch: int = 0) -> UUID:
    """Ask for the run that ingests one source version; give its id, the same however often this is asked.

    Args:
        redispatch: raised by one each time Prefect no longer has the run it accepted before.

    Raises:
        WorkflowUnavailable: transient.
        NotFound: the deployment does not exist: run bootstrap (permanent).
    """
    deployment = f"{INGEST}/{queue}"
    key = f"upload:{source_id}" + (f":r{redispatch}" if redispatch else "")
    with prefect_client() as client:
        try:
            found = client.read_deployment_by_name(deployment)
        except ObjectNotFound as error:
            raise NotFound(f"Prefect has no deployment {deployment}: run bootstrap.") from error
        run = client.create_flow_run_from_deployment(
            found.id, parameters={"video_id": str(video_id)}, idempotency_key=key, name=run_name(title, video_id)
        )
    return run.id


def run_name(title: str, video_id: UUID) -> str:
    """Name a run so that a person finds it: the title, and enough of the id to tell two apart."""
    return f"{title[:MAX_NAME_CHARS]} ({str(video_id)[:8]})"


def read_run(run_id: UUID) -> FlowRun | None:
    """Give a run; None when Prefect does not have it (any more)."""
    with prefect_client() as client:
        try:
            return client.read_flow_run(run_id)
        except ObjectNotFound:
            return None


def reschedule(run_id: UUID, after: dt.timedelta = dt.timedelta(), patience_s: float = 0.0) -> bool:
    """Set an ended run to scheduled, as Retry in the UI does; False when Prefect no longer has it.

    A run that has not ended is left alone.

    Args:
        patience_s: seconds that a run gets to end, when its video has and it must be about to.
    """
    begin = dt.datetime.now(dt.UTC) + after
    deadline = time.monotonic() + patience_s
    with prefect_client() as client:
        try:
            run = client.read_flow_run(run_id)
            while run.state and not run.state.is_final() and time.monotonic() < deadline:
                time.sleep(_POLL_S)
                run = client.read_flow_run(run_id)
        except ObjectNotFound:
            return False
        if run.state is None or run.state.is_final():
            # Forced, as in UI v2: a Completed (Rejected) run may be retried too.
            client.set_flow_run_state(run_id, Scheduled(scheduled_time=begin, name="AwaitingRetry"), force=True)
        return True
