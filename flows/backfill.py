"""Backfill from the Prefect UI: bring published videos to today's way of doing a stage."""

from typing import Annotated, Literal

from prefect import flow
from pydantic import AwareDatetime, Field

from core.settings import get_settings
from core.stages import Stage
from core.version import VERSION
from dispatch import backfill
from flows.pausing import stop_if_paused
from models.recipes import Order
from tasks.report import BackfillPage


@flow(name="backfill", version=VERSION, retries=0)
def backfill_flow(
    stage: Literal["transcode", "shots", "stills", "embed"] = "embed",
    space: str | None = None,
    order: Literal["oldest", "newest"] = "oldest",
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    per_minute: Annotated[int, Field(ge=1, le=600)] = 60,
    daily_budget: Annotated[int, Field(ge=1)] = 10_000,
    dry_run: bool = True,
) -> None:
    """Do a stage again for published videos that were done by other settings, another model or older code.

    Only what is stale is made; searches and players go on with what is there. Pause and Resume work; started twice, or
    again after a crash, it goes on where it is.

    Args:
        stage: the first stage to bring up to date; with embed, the vectors of one space are made from the proxies.
        space: with embed, which encoder's space, as `dailies encoders` shows it; empty is the configured encoder's.
        order: whether the oldest or the newest videos come first.
        since: only videos that came at this time or later.
        until: only videos that came before this time.
        per_minute: videos a minute at most.
        daily_budget: videos a day (UTC) at most, over all backfills; started again on another day, it goes on with the rest.
        dry_run: only count, and estimate hours and bytes.
    """
    settings = get_settings()
    selection = backfill.Selection(stage=Stage(stage), space=space, order=Order(order), since=since, until=until)
    planned = backfill.plan(settings, selection)
    told = BackfillPage(stage, planned.videos, planned.hours, planned.bytes)
    if dry_run or not planned.videos:
        return
    for step in backfill.work_through(settings, selection, planned, per_minute, daily_budget):
        told.tell(step.done, step.failed, step.going, step.note)
        stop_if_paused()
