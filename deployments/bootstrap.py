"""Make everything a stack needs before its first video; run it again after every upgrade, it changes only what differs."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.schedules import construct_schedule
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker
from pydantic import BaseModel, ConfigDict, Field

from core.errors import DailiesError, NotFound
from core.settings import Settings, WorkflowSettings, get_settings
from deployments.automations import ensure_automations
from dispatch.runs import prefect_client
from models import migrate
from models.session import database_errors, engine_for
from storage.client import object_store
from tasks.result_store import BLOCK_NAME, DailiesManifests

PREFECT_YAML: Final = Path(__file__).parents[1] / "prefect.yaml"


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
    return (
        Queue(name="uploads", priority=1, concurrency_limit=settings.uploads_at_once),
        Queue(name="system", priority=1),
        Queue(name="backfill", priority=10, concurrency_limit=settings.backfills_at_once),
    )


#: With `command` set the worker starts one interpreter a run instead of two: 1.1 s sooner to the first task.
RUN_COMMAND: Final = "python -m prefect.engine"


class PoolReference(BaseModel):
    """Where a deployment's runs go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    work_queue_name: str
    job_variables: dict[str, Any] = Field(default_factory=dict)


class Schedule(BaseModel):
    """When a deployment runs by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval: int | None = None
    cron: str | None = None
    timezone: str = "UTC"
    slug: str
    active: bool = True


class Deployment(BaseModel):
    """One entry of prefect.yaml; a key we do not know is an error, where Prefect would ignore it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    entrypoint: str
    tags: list[str]
    work_pool: PoolReference
    parameters: dict[str, Any] = Field(default_factory=dict)
    schedules: list[Schedule] = Field(default_factory=list)


def deployments(path: Path = PREFECT_YAML) -> list[Deployment]:
    """Read the deployments that prefect.yaml defines."""
    return [Deployment.model_validate(entry) for entry in yaml.safe_load(path.read_text())["deployments"]]


def bootstrap_stores(settings: Settings) -> None:
    """Migrate the database, make the buckets and subscribe our webhook to the uploads.

    Raises:
        DatabaseUnavailable, StorageUnavailable: transient.
    """
    with database_errors():
        migrate.upgrade(engine_for(settings.database))
    store = object_store(settings.storage)
    for bucket in (settings.storage.uploads_bucket, settings.storage.derived_bucket):
        store.ensure_bucket(bucket)
    if target := settings.events.target:
        store.announce_uploads(target)


def bootstrap_workflow(settings: Settings) -> None:
    """Make the work pool, its queues, the result block and the deployments.

    Raises:
        WorkflowUnavailable: transient.
    """
    with prefect_client() as client:
        _ensure_pool(client, settings.workflow)
        for queue in queues(settings.workflow):
            _ensure_queue(client, settings.workflow.work_pool, queue)
        for deployment in deployments():
            _deploy(client, deployment)
        ensure_automations(client)
    DailiesManifests.register_type_and_schema()
    DailiesManifests().save(BLOCK_NAME, overwrite=True)


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


def _ensure_pool(client: SyncPrefectClient, settings: WorkflowSettings) -> None:
    wanted = pool_for(settings)
    try:
        found = client.read_work_pool(settings.work_pool)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=settings.work_pool, **wanted.model_dump()))
        return
    # A pool of another type was made by hand, and its template is its owner's.
    if found.type == wanted.type and found.base_job_template != wanted.base_job_template:
        client.update_work_pool(settings.work_pool, WorkPoolUpdate(base_job_template=wanted.base_job_template))


def _ensure_queue(client: SyncPrefectClient, pool: str, queue: Queue) -> None:
    wanted = queue.model_dump(exclude={"name"})
    try:
        found = client.read_work_queue_by_name(queue.name, work_pool_name=pool)
    except ObjectNotFound:
        client.create_work_queue(queue.name, work_pool_name=pool, **wanted)
        return
    if any(getattr(found, field) != value for field, value in wanted.items()):
        client.update_work_queue(found.id, **wanted)


def _deploy(client: SyncPrefectClient, wanted: Deployment) -> None:
    flow: Flow[..., Any] = load_flow_from_entrypoint(wanted.entrypoint)
    client.create_deployment(
        flow_id=client.create_flow(flow),
        name=wanted.name,
        description=wanted.description,
        tags=wanted.tags,
        entrypoint=wanted.entrypoint,
        work_pool_name=wanted.work_pool.name,
        work_queue_name=wanted.work_pool.work_queue_name,
        job_variables=wanted.work_pool.job_variables,
        parameters=wanted.parameters,
        parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
        enforce_parameter_schema=True,
        pull_steps=[],
        schedules=[_schedule(schedule) for schedule in wanted.schedules],
    )


def _schedule(wanted: Schedule) -> DeploymentScheduleCreate:
    when = construct_schedule(
        interval=wanted.interval, cron=wanted.cron, timezone=wanted.timezone if wanted.cron else None
    )
    return DeploymentScheduleCreate(schedule=when, active=wanted.active, slug=wanted.slug)


def main() -> None:
    """Run every step and say how each one ended; the exit status is 1 when one failed."""
    settings = get_settings()
    steps: list[tuple[str, Callable[[Settings], None]]] = [
        ("database and buckets", bootstrap_stores),
        ("work pool, queues, deployments", bootstrap_workflow),
    ]
    for name, step in steps:
        try:
            step(settings)
        except DailiesError as error:
            sys.exit(f"bootstrap: {name}: {error}")
        print(f"bootstrap: {name}: ready", flush=True)  # noqa: T201 - this is a command


if __name__ == "__main__":
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    main()
