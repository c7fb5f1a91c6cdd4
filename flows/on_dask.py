"""Tasks on the workers of a Dask cluster; imported only where the settings ask for one."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from dask.base import annotate
from distributed import Client, Worker
from prefect import get_run_logger
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.results import get_result_store
from prefect.tasks import Task
from prefect_dask.client import PrefectDaskClient
from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

from core.errors import WorkflowUnavailable
from core.settings import get_settings
from core.values import Ticket
from tasks import scratch
from tasks.patience import patiently

#: What `dask worker --resources` calls a slot for one heavy task, and a GPU.
CPU: Final = "CPU"
GPU: Final = "GPU"
#: Seconds that the workers get to answer.
_ANSWER_WITHIN_S: Final = 30


class DaskRunner(DaskTaskRunner):
    """Sends each task to a worker that has a free slot for it."""

    @property
    def client(self) -> PrefectDaskClient:
        """Give the client, connected when it is first asked for.

        Raises:
            WorkflowUnavailable: the scheduler does not answer, and was waited for (transient).
        """
        return self._client or patiently(self._connected)

    @property
    def connection(self) -> PrefectDaskClient | None:
        """Give the client when it is connected already."""
        return self._client

    def _connected(self) -> PrefectDaskClient:
        try:
            return super().client
        except OSError as error:
            raise WorkflowUnavailable(f"The Dask scheduler at {self.address} does not answer: {error}") from error

    def submit(self, task: Task[..., Any], *args: Any, **kwargs: Any) -> PrefectDaskFuture[Any]:  # type: ignore[override]
        """Ask for a slot of the kind that the task needs, and send it."""
        slot = GPU if task.name in get_settings().dask.gpu else CPU
        # The context that travels with a task has lost the class of our store: a worker would keep results in a folder.
        storage = get_result_store().result_storage
        assert storage is not None
        bound = task.with_options(result_storage=storage)
        with annotate(resources={slot: 1}):
            return super().submit(bound, *args, **kwargs)


def begun(futures: Sequence[PrefectFuture[Any]]) -> list[PrefectFuture[Any]]:
    """Take back the tasks that no worker has begun; give the others, as far as the workers can be asked."""
    if (client := _connection()) is None:
        return []
    at_work = {key for keys in _on_every_worker(client, _keys_at_work).values() for key in keys}
    going_on, waiting = [], []
    for future in futures:
        wrapped: Any = future.wrapped_future if isinstance(future, PrefectDaskFuture) else None
        if wrapped is None or wrapped.done() or wrapped.key in at_work:
            going_on.append(future)
        else:
            waiting.append(wrapped)
    client.cancel(waiting, force=True)  # type: ignore[no-untyped-call]
    return going_on


def clear_scratch(ticket: Ticket) -> None:
    """Let every worker remove what it holds of an attempt; one that cannot be asked does it at the next attempt."""
    if (client := _connection()) is not None:
        _on_every_worker(client, scratch.clear, ticket)


def _connection() -> Client | None:
    context = FlowRunContext.get()
    runner = context.task_runner if context else None
    return runner.connection if isinstance(runner, DaskRunner) else None


def _on_every_worker(client: Client, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
    """Give what a function returns on each worker; how a run ends must not depend on it, so nothing is raised."""
    try:
        # The time limit is one of the client's own, which `run` hands on: a frozen worker does not hold us up for long.
        found: dict[str, Any] = client.run(function, *args, on_error="ignore", callback_timeout=_ANSWER_WITHIN_S)
    except (OSError, TimeoutError) as error:
        get_run_logger().warning("not every Dask worker answered: %s", error)
        return {}
    return found


def _keys_at_work(dask_worker: Worker) -> list[str]:
    return [str(task.key) for task in (*dask_worker.state.executing, *dask_worker.state.long_running)]
