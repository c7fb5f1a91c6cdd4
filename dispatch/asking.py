"""Asking for the runs of a backfill, within what a day may take of them."""

import datetime as dt
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import select

from core.settings import Settings
from dispatch.planning import Target
from dispatch.runs import INGEST, request, reschedule, run_name
from models import Video, counter, recipes
from models.session import transaction
from models.states import Queue

#: Flow that fills one space for one video.
EMBED: Final = "embed-video"
#: Deployment of the flow that works through a selection.
BY_HAND: Final = "backfill/by-hand"
#: On every run that a backfill asked for, to find them by in the Prefect UI.
TAG: Final = "brought-up-to-date"
#: Counters of the daily budget begin so; a day of UTC follows.
_ASKED_ON: Final = "backfilled_on_"


class Leave(StrEnum):
    """Whether a video may be asked for."""

    GRANTED = "granted"
    #: It has the recipe by now, or is gone.
    NEEDLESS = "needless"
    #: The day's budget is used up.
    REFUSED = "refused"


def take_leave(settings: Settings, aim: Target, video_id: UUID, daily_budget: int) -> Leave:
    """Look once more whether a video lacks the recipe, and count it in the day's budget, which all backfills share.

    Counted before Prefect is asked: a crash in between costs one of the budget and never exceeds it.

    Raises:
        DatabaseUnavailable: transient.
    """
    today = f"{_ASKED_ON}{dt.datetime.now(dt.UTC).date()}"
    with transaction(settings.database) as session:
        if recipes.up_to_date(session, aim.column, aim.recipe, [video_id]):
            return Leave.NEEDLESS
        granted = counter.take(session, today, daily_budget)
        counter.forget_before(session, _ASKED_ON, today)
    return Leave.GRANTED if granted else Leave.REFUSED


def ask(settings: Settings, aim: Target, video_id: UUID) -> UUID:
    """Ask for the run that brings one video to the recipe; asked again, it is the same run, resumed if it had ended.

    Raises:
        WorkflowUnavailable: transient.
        WorkflowRefused, NotFound: permanent.
    """
    with transaction(settings.database) as session:
        title = session.scalar(select(Video.title).where(Video.id == video_id)) or ""
    run = request(
        f"{EMBED if aim.space else INGEST}/{Queue.BACKFILL}",
        {"video_id": str(video_id)} | ({"space": aim.space} if aim.space else {}),
        key=f"backfill:{video_id}:{aim.recipe}",
        name=run_name(title, video_id),
        tags=(TAG,),
    )
    reschedule(run)
    return run


def start(parameters: dict[str, Any]) -> UUID:
    """Ask for a run of the backfill flow; give its id.

    Raises:
        WorkflowUnavailable: transient; asked again, there may be two runs, of which one ends at once.
        WorkflowRefused, NotFound: permanent.
    """
    name = f"backfill {parameters['stage']}"
    return request(BY_HAND, parameters, key=f"backfill:{uuid4()}", name=name)
