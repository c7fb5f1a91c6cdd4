"""Which events the automations look at, judged by the Prefect server's own matching."""

import datetime as dt
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from prefect import states
from prefect.client.schemas.objects import State
from prefect.server.events.schemas.automations import EventTrigger
from prefect.server.events.schemas.events import ReceivedEvent

from deployments.automations import automations, notification, runs_of

OURS, THEIRS = uuid4(), uuid4()


def event(name: str, deployment_id: UUID | None) -> ReceivedEvent:
    """An event of a flow run, related as Prefect 3.8 relates heartbeats and states to a deployment."""
    related = [{"prefect.resource.id": f"prefect.flow.{uuid4()}", "prefect.resource.role": "flow"}]
    if deployment_id:
        related.append(
            {"prefect.resource.id": f"prefect.deployment.{deployment_id}", "prefect.resource.role": "deployment"}
        )
    return ReceivedEvent(
        occurred=dt.datetime.now(dt.UTC),
        event=f"prefect.flow-run.{name}",
        resource={"prefect.resource.id": f"prefect.flow-run.{uuid4()}"},
        related=related,
        id=uuid4(),
    )


def triggers() -> list[EventTrigger]:
    ours = runs_of([uuid4(), OURS])
    found = [*automations(ours), notification(uuid4(), ours)]
    return [EventTrigger.model_validate(each.trigger.model_dump(mode="json")) for each in found]


@pytest.mark.parametrize("name", ["heartbeat", "Pending", "Running", "Completed", "Failed", "Crashed"])
def test_every_event_of_our_runs_counts_and_none_of_others(name: str):
    for trigger in triggers():
        assert covers(trigger, event(name, OURS))
        assert not covers(trigger, event(name, THEIRS))
        assert not covers(trigger, event(name, None))


@pytest.mark.parametrize("name", ["heartbeat", "Running"])
def test_a_run_is_watched_from_its_first_sign_of_life(name: str):
    heartbeat, *_ = triggers()
    assert heartbeat.starts_after(f"prefect.flow-run.{name}")
    assert heartbeat.expects(f"prefect.flow-run.{name}"), "and the next one begins the wait anew"


@pytest.mark.parametrize("make", [states.Pending, states.Submitting, states.InfrastructurePending])
def test_a_run_that_never_starts_is_watched_under_every_name_of_pending(make: Callable[[], State]):
    _, pending, *_ = triggers()
    assert pending.starts_after(f"prefect.flow-run.{make().name}")


def covers(trigger: EventTrigger, seen: ReceivedEvent) -> bool:
    return trigger.covers_resources(seen.resource, seen.related)
