"""Backfill from the Prefect UI: bring published videos to today's way of doing a stage."""

from functools import partial
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import AwareDatetime, Field

from core.settings import get_settings
from core.stages import Stage
from core.version import VERSION
from dispatch import planning
from dispatch.backfill import Backfill, End
from flows.pausing import heed_own_state
from models.lacking import Lack, Order
from tasks import report
from tasks.patience import LONG_WAITS_S, patiently


@flow(name="backfill", version=VERSION, retries=0)
def backfill_flow(
    stage: Literal["transcode", "shots", "stills", "embed"] = "embed",
    space: str | None = None,
    state: Literal["failed", "stale", "missing"] | None = None,
    order: Literal["oldest", "newest"] = "oldest",
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    owner: str | None = None,
    per_minute: Annotated[int, Field(ge=1, le=600)] = 60,
    daily_budget: Annotated[int, Field(ge=1)] = 10_000,
    dry_run: bool = True,
) -> State[Any] | None:
    """Do a stage again for published videos that were done by other settings, another model or older code.

    Only what is stale is made; searches and players go on with what is there. Pause and Resume work; started again
    after a crash, it goes on where it is. Outages of up to two days are waited out. While another backfill of the same
    stage and space is at work, this one ends as AnotherAtWork.

    Args:
        stage: the first stage to bring up to date; with embed, the vectors of one space are made from the proxies.
        space: with embed, which encoder's space, as `dailies encoders` shows it; empty is the configured encoder's.
        state: only videos that coverage counts as failed, stale or missing; empty is whichever are not up to date.
        order: whether the oldest or the newest videos come first.
        since: only videos that came at this time or later.
        until: only videos that came before this time.
        owner: whose videos; empty is the owner in the settings.
        per_minute: videos a minute at most.
        daily_budget: videos a day (UTC) at most, over all backfills; started again on another day, it goes on with the rest.
        dry_run: only count, and estimate hours and bytes.
    """
    settings = get_settings()
    selection = planning.Selection(
        stage=Stage(stage),
        space=space,
        state=Lack(state) if state else None,
        owner=owner,
        order=Order(order),
        since=since,
        until=until,
    )
    planned = patiently(partial(planning.plan, settings, selection, per_minute), LONG_WAITS_S)
    told = report.BackfillPage(
        stage, planned.videos, planned.hours, planned.bytes, planning.days(planned, per_minute, daily_budget)
    )
    report.coverage(patiently(partial(planning.matrix, settings, selection), LONG_WAITS_S))
    if dry_run or not planned.videos:
        return None
    with Backfill(settings, selection, planned, per_minute=per_minute, daily_budget=daily_budget) as work:
        while (step := patiently(work.advance, LONG_WAITS_S)).end is None:
            told.tell(step.done, step.failed, step.going, is_over=False, note=step.note)
            patiently(heed_own_state, LONG_WAITS_S)
    told.tell(step.done, step.failed, step.going, is_over=True, note=step.note)
    report.coverage(patiently(partial(planning.matrix, settings, selection), LONG_WAITS_S))
    return None if step.end is End.DONE else Completed(name=str(step.end), message=step.note)
