"""How many runs wait in Prefect: what the queues of the work pool hold."""

import datetime as dt

from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkQueueFilter,
    WorkQueueFilterId,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound

from core.errors import NotFound
from core.settings import Settings
from dispatch.runs import prefect_client


def runs_waiting(settings: Settings) -> dict[str, int]:
    """Count the runs that are due and have not begun, by queue; one question a queue, answered by a number.

    Raises:
        WorkflowUnavailable: transient.
        NotFound: there is no such work pool: run bootstrap (permanent).
    """
    pool = settings.workflow.work_pool
    due = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        # Runs of schedules are made days ahead; they wait for their time, not for a worker.
        next_scheduled_start_time=FlowRunFilterNextScheduledStartTime(before_=dt.datetime.now(dt.UTC)),
    )
    with prefect_client() as client:
        try:
            queues = client.read_work_queues(work_pool_name=pool)
        except ObjectNotFound as error:
            raise NotFound(f"Prefect has no work pool {pool}: run bootstrap.") from error
        return {
            queue.name: client.count_flow_runs(
                flow_run_filter=due,
                work_queue_filter=WorkQueueFilter(id=WorkQueueFilterId(any_=[queue.id])),
            )
            for queue in queues
        }
