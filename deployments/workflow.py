"""Make on a Prefect server what our flows need, and say what was made, what was changed and what was right already."""

from enum import StrEnum
from typing import Any, Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import IntervalSchedule, construct_schedule
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from pydantic import BaseModel, ConfigDict

from core.settings import Settings, WorkflowSettings
from deployments.automations import ensure_automations
from deployments.described import Deployment, Schedule, deployments
from deployments.pool import GPU_QUEUE, Queue, pool_for, queues
from dispatch.runs import prefect_client
from tasks.result_store import BLOCK_NAME, DailiesManifests

#: The flow whose runs wait in the GPU's queue, once there is one.
_EMBEDS: Final = "flows.embed.embed_video"


class Outcome(StrEnum):
    """What became of one thing that the server must have."""

    #: It was not there.
    MADE = "made"
    #: It was there, and different.
    CHANGED = "changed"
    #: It was right already, and was left alone.
    UNCHANGED = "unchanged"


class Ensured(BaseModel):
    """One thing that the server has now."""

    model_config = ConfigDict(frozen=True)

    #: Block, work pool, queue, deployment or automation.
    kind: str
    name: str
    outcome: Outcome
    #: What a person may want to know of it: its queue, its limit, its schedule.
    detail: str = ""


def bootstrap_workflow(settings: Settings) -> list[Ensured]:
    """Make the work pool, its queues, the result block, the deployments and the automations; again changes nothing.

    Raises:
        WorkflowUnavailable: transient.
        WorkflowRefused, NotFound: permanent.
    """
    workflow = settings.workflow
    with prefect_client() as client:
        # The block first: a run of a deployment that exists may begin at any moment.
        ensured = [_result_block(client), _pool(client, workflow)]
        ensured += [_queue(client, workflow.work_pool, queue) for queue in queues(workflow)]
        ensured += [_deploy(client, _placed(wanted, workflow)) for wanted in deployments()]
        ensured += [
            Ensured(kind="automation", name=name, outcome=Outcome(outcome))
            for name, outcome in ensure_automations(client).items()
        ]
    return ensured


def _result_block(client: SyncPrefectClient) -> Ensured:
    slug, outcome = DailiesManifests.get_block_type_slug(), Outcome.UNCHANGED
    try:
        found = client.read_block_document_by_name(BLOCK_NAME, slug)
    except ObjectNotFound:
        outcome = Outcome.MADE
    else:
        # It holds nothing but its class, so an upgrade changes it only when that has other fields.
        schema = found.block_schema
        if schema is None or schema.checksum != DailiesManifests._calculate_schema_checksum():  # noqa: SLF001
            outcome = Outcome.CHANGED
    if outcome is not Outcome.UNCHANGED:
        DailiesManifests.register_type_and_schema()
        DailiesManifests().save(BLOCK_NAME, overwrite=True)
    return Ensured(kind="block", name=f"{slug}/{BLOCK_NAME}", outcome=outcome)


def _pool(client: SyncPrefectClient, settings: WorkflowSettings) -> Ensured:
    wanted, outcome = pool_for(settings), Outcome.UNCHANGED
    try:
        found = client.read_work_pool(settings.work_pool)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=settings.work_pool, **wanted.model_dump()))
        return Ensured(kind="work pool", name=settings.work_pool, outcome=Outcome.MADE, detail=wanted.type)
    # A pool of another type was made by hand, and its template is its owner's.
    if found.type == wanted.type and found.base_job_template != wanted.base_job_template:
        client.update_work_pool(settings.work_pool, WorkPoolUpdate(base_job_template=wanted.base_job_template))
        outcome = Outcome.CHANGED
    return Ensured(kind="work pool", name=settings.work_pool, outcome=outcome, detail=found.type)


def _queue(client: SyncPrefectClient, pool: str, queue: Queue) -> Ensured:
    wanted, outcome = queue.model_dump(exclude={"name"}), Outcome.UNCHANGED
    try:
        found = client.read_work_queue_by_name(queue.name, work_pool_name=pool)
    except ObjectNotFound:
        client.create_work_queue(queue.name, work_pool_name=pool, **wanted)
        outcome = Outcome.MADE
    else:
        if any(getattr(found, field) != value for field, value in wanted.items()):
            client.update_work_queue(found.id, **wanted)
            outcome = Outcome.CHANGED
    limit = f", {queue.concurrency_limit} at a time" if queue.concurrency_limit else ""
    return Ensured(kind="queue", name=queue.name, outcome=outcome, detail=f"priority {queue.priority}{limit}")


def _placed(wanted: Deployment, settings: WorkflowSettings) -> Deployment:
    """Give the deployment with its place in this pool: ours may have another name, and a GPU has a queue of its own."""
    place = {"name": settings.work_pool}
    if settings.gpu_at_once and wanted.entrypoint == _EMBEDS:
        place["work_queue_name"] = GPU_QUEUE
    return wanted.model_copy(update={"work_pool": wanted.work_pool.model_copy(update=place)})


def _deploy(client: SyncPrefectClient, wanted: Deployment) -> Ensured:
    flow: Flow[..., Any] = load_flow_from_entrypoint(wanted.entrypoint)
    name = f"{flow.name}/{wanted.name}"
    try:
        found = client.read_deployment_by_name(name)
    except ObjectNotFound:
        found = None
    facts = _facts(flow, wanted)
    schedules = [_schedule(schedule, found) for schedule in wanted.schedules]
    outcome = Outcome.MADE if found is None else Outcome.CHANGED
    if found is not None and not _differs(found, facts, schedules):
        outcome = Outcome.UNCHANGED
    else:
        client.create_deployment(
            flow_id=client.create_flow(flow), name=wanted.name, pull_steps=[], schedules=schedules, **facts
        )
    when = "; ".join(
        f"{schedule.cron or f'every {schedule.interval} s'}{'' if made.active else ' (paused)'}"
        for schedule, made in zip(wanted.schedules, schedules, strict=True)
    )
    detail = f"queue {wanted.work_pool.work_queue_name}{f', {when}' if when else ''}"
    return Ensured(kind="deployment", name=name, outcome=outcome, detail=detail)


def _facts(flow: Flow[..., Any], wanted: Deployment) -> dict[str, Any]:
    return {
        "version": wanted.version,
        "description": wanted.description,
        "tags": wanted.tags,
        "entrypoint": wanted.entrypoint,
        "work_pool_name": wanted.work_pool.name,
        "work_queue_name": wanted.work_pool.work_queue_name,
        "job_variables": wanted.work_pool.job_variables,
        "parameters": wanted.parameters,
        "parameter_openapi_schema": parameter_schema(flow).model_dump_for_openapi(),
        "enforce_parameter_schema": True,
    }


def _schedule(wanted: Schedule, found: DeploymentResponse | None) -> DeploymentScheduleCreate:
    """Give a schedule; one that a person paused in the UI stays so."""
    when = construct_schedule(
        interval=wanted.interval, cron=wanted.cron, timezone=wanted.timezone if wanted.cron else None
    )
    known = {schedule.slug: schedule for schedule in (found.schedules if found else ())}
    same = known.get(wanted.slug)
    if (
        same is not None
        and isinstance(when, IntervalSchedule)
        and isinstance(same.schedule, IntervalSchedule)
        and same.schedule.interval == when.interval
    ):
        when = same.schedule  # the moment it counts from is the server's
    return DeploymentScheduleCreate(
        schedule=when,
        active=same.active if same else wanted.active,
        slug=wanted.slug,
        parameters=wanted.parameters,
    )


def _differs(found: DeploymentResponse, facts: dict[str, Any], schedules: list[DeploymentScheduleCreate]) -> bool:
    if any(getattr(found, name) != value for name, value in facts.items()):
        return True
    compared = ("schedule", "active", "parameters")
    has, wants = (
        {one.slug: [getattr(one, name) for name in compared] for one in some} for some in (found.schedules, schedules)
    )
    return has != wants
