"""Where the heavy tasks of a run are executed: in threads of the run's own process, or on a Dask cluster."""

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture, PrefectWrappedFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.tasks import Task

from core.errors import MissingDependency
from core.settings import Settings
from core.values import Ticket
from tasks import scratch
from tasks.transcoding import chunks_at_once

P = ParamSpec("P")
R = TypeVar("R")


def task_runner() -> TaskRunner[Any]:
    """Give the runner that the environment names; a flow asks when it is defined (docs/adr/0014).

    Raises:
        MissingDependency: `dask` is wanted without an address, or its packages are not here (permanent).
    """
    settings = Settings()
    if settings.task_runner == "threads":
        return ThreadPoolTaskRunner(max_workers=chunks_at_once(settings.media))
    if not settings.dask.address:
        raise MissingDependency("DAILIES_TASK_RUNNER=dask needs DAILIES_DASK__ADDRESS, such as tcp://dask:8786.")
    try:
        # Imported here: it takes half a second, and threads need nothing of it.
        from flows.on_dask import DaskRunner
    except ImportError as error:
        raise MissingDependency(f"DAILIES_TASK_RUNNER=dask needs `pip install dailies[cluster]`: {error}") from error
    return DaskRunner(address=settings.dask.address)


def placed(task: Task[P, R]) -> Callable[P, R]:
    """Give what runs a heavy task where such tasks belong and waits for it: in this very thread, or on the cluster."""

    def there(*args: P.args, **kwargs: P.kwargs) -> R:
        future: PrefectFuture[R] = task.submit(*args, **kwargs)
        return future.result()

    return there if _is_on_cluster() else task


def begun(futures: Sequence[PrefectFuture[Any]]) -> list[PrefectFuture[Any]]:
    """Take back the tasks that nobody has begun; give the others."""
    if _is_on_cluster():
        from flows import on_dask

        return on_dask.begun(futures)
    return [
        future
        for future in futures
        if not (isinstance(future, PrefectWrappedFuture) and future.wrapped_future.cancel())
    ]


def clear_scratch(ticket: Ticket) -> None:
    """Remove what an attempt put into scratch, wherever its tasks ran."""
    scratch.clear(ticket)
    if _is_on_cluster():
        from flows import on_dask

        on_dask.clear_scratch(ticket)


def _is_on_cluster() -> bool:
    context = FlowRunContext.get()
    return context is not None and not isinstance(context.task_runner, ThreadPoolTaskRunner)
