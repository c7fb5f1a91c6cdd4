"""Automations: how the Prefect server notices runs that died without a word."""

import datetime as dt
from typing import Final

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

#: Seconds between heartbeats, which the worker's environment sets (PREFECT_FLOWS_HEARTBEAT_FREQUENCY); Prefect's floor.
HEARTBEAT_S: Final = 30
#: Three heartbeats missed.
DEAD_AFTER: Final = dt.timedelta(seconds=3 * HEARTBEAT_S)
#: A run that a worker took and never started: it dies before its first heartbeat, so nothing else would notice.
PENDING_AT_MOST: Final = dt.timedelta(minutes=3)

_ANY_RUN: Final = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})
_EACH_RUN: Final = {"prefect.resource.id"}


def automations() -> list[AutomationCore]:
    """Give every automation of Dailies."""
    return [
        AutomationCore(
            name="dailies: no heartbeat",
            description="A running flow that sends no heartbeat any more lost its process: it is marked Crashed, and resumed.",
            trigger=EventTrigger(
                match=_ANY_RUN,
                after={"prefect.flow-run.heartbeat"},
                expect={"prefect.flow-run.*"},
                for_each=_EACH_RUN,
                posture=Posture.Proactive,
                threshold=1,
                within=DEAD_AFTER,
            ),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message="No heartbeat: its process was lost.")],
        ),
        AutomationCore(
            name="dailies: stuck pending",
            description="A flow that a worker took and never started is marked Crashed, and resumed.",
            trigger=EventTrigger(
                match=_ANY_RUN,
                after={"prefect.flow-run.Pending"},
                expect={"prefect.flow-run.*"},
                for_each=_EACH_RUN,
                posture=Posture.Proactive,
                threshold=1,
                within=PENDING_AT_MOST,
            ),
            actions=[ChangeFlowRunState(state=StateType.CRASHED, message="Taken by a worker that never started it.")],
        ),
    ]


def ensure_automations(client: SyncPrefectClient) -> None:
    """Make the automations that are missing and update those that differ."""
    for wanted in automations():
        found = client.read_automations_by_name(wanted.name)
        if not found:
            client.create_automation(wanted)
        elif AutomationCore.model_validate(found[0].model_dump(exclude={"id"})) != wanted:
            client.update_automation(found[0].id, wanted)
