"""Vacuum: old flow runs leave Prefect's database, so that it does not grow for ever."""

import datetime as dt
from typing import Annotated

from prefect import flow
from pydantic import Field

from core.settings import get_settings
from core.version import VERSION
from dispatch.vacuum import vacuum
from tasks.report import vacuumed


@flow(name="vacuum", version=VERSION, retries=0)
def vacuum_flow(
    keep_days: Annotated[int, Field(ge=1, le=3650)] = 30,
    per_minute: Annotated[int, Field(ge=1, le=6000)] = 600,
    at_most: Annotated[int | None, Field(ge=1)] = None,
    dry_run: bool = True,
) -> None:
    """Remove old flow runs with their tasks, states and logs; never one whose video has failed or is on its way.

    Args:
        keep_days: runs that ended longer ago than this are old, in days.
        per_minute: removals a minute at most, so that the Prefect server stays quick.
        at_most: removals in all; the next vacuum goes on where this one stopped. Empty: all that are old.
        dry_run: only count what would be removed.
    """
    done = vacuum(
        get_settings(),
        keep=dt.timedelta(days=keep_days),
        per_minute=per_minute,
        at_most=at_most,
        dry_run=dry_run,
    )
    vacuumed(done.model_dump(mode="json"))
