"""Old flow runs leave Prefect's database, except those that may yet be resumed.

Prefect's own vacuum looks at nothing but the age of a run, and would take the Retry button of a failed video away.
"""

import datetime as dt
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from pydantic import BaseModel, ConfigDict

from core.settings import Settings
from dispatch.runs import prefect_client
from models.keeping import needed_runs
from models.session import transaction

#: Flow runs read and removed in one request; the most that the server takes.
PAGE: Final = 50


class Vacuumed(BaseModel):
    """What a vacuum removed, or would remove."""

    model_config = ConfigDict(frozen=True)

    dry_run: bool
    #: Runs that ended before this are old.
    before: dt.datetime
    #: Old runs that were removed, or would be.
    removed: int
    #: Old runs that stay: their videos are not finished, and they may be resumed.
    kept: int
    #: It stopped at its limit; the next vacuum goes on.
    more: bool


def vacuum(settings: Settings, *, keep: dt.timedelta, per_minute: int, at_most: int | None, dry_run: bool) -> Vacuumed:
    """Remove the runs of our work pool that ended longer ago than `keep`, the oldest first; asking again is safe.

    Args:
        per_minute: removals a minute at most, so that nobody waits for the Prefect server.
        at_most: removals in all; None: all that are old.
    Raises:
        WorkflowUnavailable, DatabaseUnavailable: transient; what is removed stays removed.
    """
    before = dt.datetime.now(dt.UTC) - keep
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[settings.workflow.work_pool]))
    removed = kept = 0
    with prefect_client() as client:
        # What stays is passed over by the offset, in an order that no removal changes.
        while page := _page(client, pool, before, offset=kept + (removed if dry_run else 0)):
            needed = _needed(settings, page)
            kept += len(needed)
            old = [run.id for run in page if run.id not in needed]
            old = old if at_most is None else old[: at_most - removed]
            gone = len(old) if dry_run else _remove(client, old, before)
            removed, kept = removed + gone, kept + len(old) - gone
            if not dry_run:
                time.sleep(gone * 60 / per_minute)
            if at_most is not None and removed >= at_most:
                return Vacuumed(dry_run=dry_run, before=before, removed=removed, kept=kept, more=True)
    return Vacuumed(dry_run=dry_run, before=before, removed=removed, kept=kept, more=False)


def _ended(before: dt.datetime, **more: Any) -> FlowRunFilter:
    return FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(TERMINAL_STATES))),
        end_time=FlowRunFilterEndTime(before_=before),
        **more,
    )


def _page(client: SyncPrefectClient, pool: WorkPoolFilter, before: dt.datetime, offset: int) -> Sequence[FlowRun]:
    return client.read_flow_runs(
        flow_run_filter=_ended(before),
        work_pool_filter=pool,
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=PAGE,
        offset=offset,
    )


def _needed(settings: Settings, page: Sequence[FlowRun]) -> set[UUID]:
    with transaction(settings.database) as session:
        return needed_runs(session, {run.id: _video_of(run) for run in page})


def _video_of(run: FlowRun) -> UUID | None:
    with suppress(ValueError):
        return UUID(str(run.parameters.get("video_id")))
    return None


def _remove(client: SyncPrefectClient, run_ids: Sequence[UUID], before: dt.datetime) -> int:
    """Remove runs in one transaction of the server; give how many went.

    One that a person has retried meanwhile is no longer ended, and stays.
    """
    if not run_ids:
        return 0
    chosen = _ended(before, id=FlowRunFilterId(any_=list(run_ids)))
    body = {"flow_runs": chosen.model_dump(mode="json"), "limit": PAGE}
    answer = client.request("POST", "/flow_runs/bulk_delete", json=body)  # type: ignore[arg-type]  # typed from an older list
    return len(answer.json()["deleted"])
