"""Redrive: rerun a whole group of videos, a few at a time, so that uploads that arrive meanwhile do not wait.

The line stands in our database: it is as long as it needs to be, asking twice changes nothing, and it outlives whoever
asked. Prefect gets only those whose turn it is.
"""

import datetime as dt
import logging
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from core.errors import NotFound, WorkflowRefused
from core.settings import Settings, WorkflowSettings
from dispatch.rerun import rerun
from models import counter
from models.failing import give_up_turn, line_up, select_for_rerun, take_turns, waiting_for_a_turn
from models.reconciling import lock
from models.session import transaction
from models.states import VideoStatus

logger = logging.getLogger(__name__)

#: Turns a minute at most, unless the caller says otherwise.
PER_MINUTE: Final = 30
#: Videos named in an answer; the rest is only counted.
MAX_NAMED: Final = 1_000
#: Any number: the line is changed by one process at a time.
LOCK: Final = 7_203_513


class Redriven(BaseModel):
    """What a redrive did, or would do."""

    model_config = ConfigDict(frozen=True)

    dry_run: bool
    #: Videos it took, or would take.
    count: int
    #: The first of them.
    video_ids: list[UUID]
    #: Seconds from now until the last one's turn, or later: a turn also waits until the ones before have ended.
    spread_s: float
    #: All videos in line, those of earlier redrives included.
    waiting: int


def redrive(
    settings: Settings,
    *,
    status: VideoStatus = VideoStatus.FAILED,
    fingerprint: str | None = None,
    per_minute: int = PER_MINUTE,
    dry_run: bool = False,
) -> Redriven:
    """Line up every failed (or rejected) video, or one group of failures, for a rerun; the oldest first.

    Those that stand in line already, or are rerun already, are left alone.

    Raises:
        DatabaseUnavailable: transient; asking again is safe.
    """
    gap = dt.timedelta(minutes=1) / per_minute
    with transaction(settings.database) as session:
        lock(session, LOCK)
        chosen = select_for_rerun(session, status=status, fingerprint=fingerprint, owner_id=settings.owner_id)
        spread = gap * max(0, len(chosen) - 1)
        if not dry_run:
            spread = line_up(session, chosen, gap) - dt.datetime.now(dt.UTC)
        return Redriven(
            dry_run=dry_run,
            count=len(chosen),
            video_ids=list(chosen[:MAX_NAMED]),
            spread_s=round(max(0.0, spread.total_seconds()), 1),
            waiting=waiting_for_a_turn(session),
        )


def turns_at_once(workflow: WorkflowSettings) -> int:
    """Give how many reruns of a redrive may be on at a time: a slot is left to uploads wherever there are two.

    A run stays in the queue it was made for, mostly that of uploads: Prefect cannot move it.
    """
    return max(1, min(workflow.backfills_at_once, workflow.uploads_at_once - 1))


def advance(settings: Settings) -> int:
    """Rerun the videos whose turn it is, as many at a time as backfills may run; count and give how many were begun.

    Raises:
        WorkflowUnavailable: transient; what was begun is asked for again by settle.
        DatabaseUnavailable: transient; the next call continues.
    """
    with transaction(settings.database) as session:
        lock(session, LOCK)
        turns = take_turns(session, turns_at_once(settings.workflow))
    begun = 0
    for video_id in turns:
        try:
            rerun(settings, video_id)
            begun += 1
            with transaction(settings.database) as session:
                counter.add(session, f"{counter.SET_RIGHT}redriven", 1)
        except NotFound as error:
            # Prefect lost its deployments: once reconcile has made them again, settle asks for the run.
            logger.warning("redrive: video %s: %s", video_id, error)
        except WorkflowRefused as error:
            logger.warning("redrive: video %s: %s", video_id, error)
            with transaction(settings.database) as session:
                give_up_turn(session, video_id)
    return begun
