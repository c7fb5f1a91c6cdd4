"""The work pool and its queues, as the settings want them."""

from typing import Any, Final

from prefect.workers.process import ProcessWorker
from pydantic import BaseModel, ConfigDict

from core.errors import NotFound
from core.settings import WorkflowSettings

#: With `command` set the worker starts one interpreter a run instead of two: 1.1 s sooner to the first task.
RUN_COMMAND: Final = "python -m prefect.engine"
#: What can wait yields the processor to what cannot; ffmpeg and all other children inherit it. prefect.yaml says it.
WAITING_COMMAND: Final = f"nice -n 10 {RUN_COMMAND}"
#: Where runs wait that a GPU makes quick, once one is configured.
GPU_QUEUE: Final = "gpu"
#: Runs of our own upkeep at a time: after a weekend without a worker hundreds of them are late. A backfill that is at
#: work keeps its place for days, and there may be one of each stage and space.
SYSTEM_AT_ONCE: Final = 12


class Queue(BaseModel):
    """A work queue of the pool; lower numbers are served first."""

    model_config = ConfigDict(frozen=True)

    name: str
    priority: int
    concurrency_limit: int | None = None


def queues(settings: WorkflowSettings) -> tuple[Queue, ...]:
    """Give the queues: a backfill may fill its own slots and no more, so an upload never waits behind one.

    The limits are enforced by the Prefect server in its database, so any number of waiting runs costs nothing; a limit
    of the worker or of a deployment would let them starve the others.
    """
    gpu = (Queue(name=GPU_QUEUE, priority=5, concurrency_limit=settings.gpu_at_once),) if settings.gpu_at_once else ()
    return (
        Queue(name="uploads", priority=1, concurrency_limit=settings.uploads_at_once),
        # The server keeps priorities distinct: an equal one would push uploads back.
        Queue(name="system", priority=2, concurrency_limit=SYSTEM_AT_ONCE),
        *gpu,
        Queue(name="backfill", priority=10, concurrency_limit=settings.backfills_at_once),
    )


class Pool(BaseModel):
    """What a work pool makes of a flow run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    base_job_template: dict[str, Any]


def pool_for(settings: WorkflowSettings) -> Pool:
    """Give the pool that the settings name: the template of a file, or processes on the worker's machine.

    Raises:
        NotFound: the file is missing or holds something else (permanent).
    """
    if settings.pool_template is None:
        return _process_pool()
    try:
        return Pool.model_validate_json(settings.pool_template.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotFound(
            f"DAILIES_WORKFLOW__POOL_TEMPLATE: {settings.pool_template} is no JSON file with type and "
            f"base_job_template: {error}"
        ) from error


def _process_pool() -> Pool:
    template = ProcessWorker.get_default_base_job_template()
    properties = template["variables"]["properties"]
    properties["command"]["default"] = RUN_COMMAND
    # A run that writes to its worker's pipe dies with the worker. Its log goes to the Prefect server either way.
    properties["stream_output"]["default"] = False
    return Pool(type="process", base_job_template=template)
