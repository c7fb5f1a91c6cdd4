"""Automations: how the Prefect server notices runs that died without a word."""

import datetime as dt
from collections.abc import Collection
from typing import Final
from uuid import UUID

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from core.agreed import HEARTBEAT_S, NEVER_STARTED, SILENT
from core.errors import NotFound
from core.settings import get_settings

#: Three heartbeats missed.
DEAD_AFTER: Final = dt.timedelta(seconds=3 * HEARTBEAT_S)
#: A run that a worker took and never started: it dies before its first heartbeat, so nothing else would notice.
PENDING_AT_MOST: Final = dt.timedelta(minutes=3)

#: Name of the automation that tells a person, and of the block made for it.
TELL: Final = "dailies: tell a person"
NOTIFY_BLOCK: Final = "dailies-notify"

_ANY_RUN: Final = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
_EACH_RUN: Final = {"prefect.resource.id"}


def runs_of(deployment_ids: Collection[UUID]) -> ResourceSpecification:
    """Match events of these deployments' runs: every event of a run, its heartbeats included, names its deployment.

    A Prefect server may have other users, whose silent runs are none of our business.
    """
    return ResourceSpecification({"prefect.resource.id": [f"prefect.deployment.{found}" for found in deployment_ids]})


def automations(ours: ResourceSpecification) -> list[AutomationCore]:
    """Give every automation of Dailies, for the runs that `ours` matches."""
    return [
        AutomationCore(
            name="dailies: no heartbeat",
            description="A running flow that sends no heartbeat any more lost its process: it is marked Crashed, and resumed.",
            trigger=EventTrigger(
                match=_ANY_RUN,
                match_related=ours,
                # Running too: a process may die before its first heartbeat has left it.
                after={"prefect.flow-run.heartbeat", "prefect.flow-run.Running"},
                expect={"prefect.flow-run.*"},
                for_each=_EACH_RUN,
                posture=Posture.Proactive,
                threshold=1,
                within=DEAD_AFTER,
            ),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message=SILENT)],
        ),
        AutomationCore(
            name="dailies: stuck pending",
            description="A flow that a worker took and never started is marked Crashed, and resumed.",
            trigger=EventTrigger(
                match=_ANY_RUN,
                match_related=ours,
                # A run is Pending under several names, one after the other: each begins the wait anew.
                after={f"prefect.flow-run.{name}" for name in ("Pending", "Submitting", "InfrastructurePending")},
                expect={"prefect.flow-run.*"},
                for_each=_EACH_RUN,
                posture=Posture.Proactive,
                threshold=1,
                within=PENDING_AT_MOST,
            ),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message=NEVER_STARTED)],
        ),
    ]


def notification(block_id: UUID, ours: ResourceSpecification) -> AutomationCore:
    """Give the automation that tells a person; a run that crashed for the last time is Failed too (dispatch/settle.py)."""
    return AutomationCore(
        name=TELL,
        description="A run failed, or crashed once too often, and waits for Retry: somebody is told.",
        trigger=EventTrigger(
            match=_ANY_RUN,
            match_related=ours,
            expect={"prefect.flow-run.Failed"},
            for_each=_EACH_RUN,
            posture=Posture.Reactive,
            threshold=1,
            within=dt.timedelta(0),
        ),
        actions=[
            SendNotification(
                block_document_id=block_id,
                subject="Dailies: {{ flow_run.name }} failed",
                body="{{ flow_run.state.message }}\nRetry resumes it: {{ flow_run|ui_url }}",
            )
        ],
    )


def notification_block(client: SyncPrefectClient, notify: str) -> UUID:
    """Give the block that a setting names; for a URL it is made: a POST of `{"text": …}`, which chat services take.

    Raises:
        NotFound: there is no such block (permanent).
    """
    if notify.startswith(("http://", "https://")):
        message = {"text": "{{subject}}\n{{body}}"}
        hook = CustomWebhookNotificationBlock(name=NOTIFY_BLOCK, url=notify, json_data=message, secrets={})
        CustomWebhookNotificationBlock.register_type_and_schema()
        hook.save(NOTIFY_BLOCK, overwrite=True)
        notify = f"{hook.get_block_type_slug()}/{NOTIFY_BLOCK}"
    kind, _, name = notify.partition("/")
    try:
        return client.read_block_document_by_name(name, kind).id
    except ObjectNotFound as error:
        raise NotFound(
            "DAILIES_WORKFLOW__NOTIFY is neither a URL (https://…) nor a block that Prefect has (TYPE/NAME). "
            "Make the block in the Prefect UI, or give the URL of a webhook."
        ) from error


def ensure_automations(client: SyncPrefectClient) -> dict[str, str]:
    """Make the automations that are missing and update those that differ; who is told of failures is a setting.

    Gives what became of each: `made`, `changed` or `unchanged`.

    They watch the runs of every deployment that feeds our work pool: make those first.

    Raises:
        NotFound: the setting names a block that does not exist (permanent).
    """
    workflow = get_settings().workflow
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[workflow.work_pool]))
    ours = runs_of(sorted(found.id for found in client.read_deployments(work_pool_filter=pool)))
    wanted_ones = automations(ours)
    if notify := workflow.notify.get_secret_value().strip():
        wanted_ones.append(notification(notification_block(client, notify), ours))
    else:
        for unwanted in client.read_automations_by_name(TELL):
            client.delete_automation(unwanted.id)
    outcomes = {}
    for wanted in wanted_ones:
        found = client.read_automations_by_name(wanted.name)
        outcomes[wanted.name] = "unchanged"
        if not found:
            client.create_automation(wanted)
            outcomes[wanted.name] = "made"
        elif AutomationCore.model_validate(found[0].model_dump(exclude={"id"})) != wanted:
            client.update_automation(found[0].id, wanted)
            outcomes[wanted.name] = "changed"
    return outcomes
