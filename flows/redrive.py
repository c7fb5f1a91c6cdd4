"""Redrive from the Prefect UI: a form that reruns a group of failed videos."""

from typing import Annotated, Literal

from prefect import flow
from pydantic import Field

from core.settings import get_settings
from core.version import VERSION
from dispatch.redrive import redrive
from models.states import VideoStatus
from tasks.report import redriven


@flow(name="redrive", version=VERSION, retries=0)
def redrive_flow(
    status: Literal["failed", "rejected"] = "failed",
    error_fingerprint: str | None = None,
    per_minute: Annotated[int, Field(ge=1, le=600)] = 30,
    dry_run: bool = True,
) -> None:
    """Line up failed (or rejected) videos for a rerun, the oldest first; as many at a time as backfills may run.

    Args:
        status: which videos: failed ones resume, rejected ones are validated anew (after a change of limits).
        error_fingerprint: only this group of failures, as `dailies failures` names it; empty takes all.
        per_minute: turns a minute at most; uploads that arrive meanwhile do not wait.
        dry_run: only say which videos it would be.
    """
    done = redrive(
        get_settings(),
        status=VideoStatus(status),
        fingerprint=error_fingerprint or None,
        per_minute=per_minute,
        dry_run=dry_run,
    )
    redriven(done.model_dump(mode="json"))
