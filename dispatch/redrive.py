"""Redrive: rerun a whole group of videos, spread over time so that uploads that arrive meanwhile do not wait."""

import datetime as dt
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from core.errors import DailiesError
from core.settings import Settings
from dispatch.rerun import rerun
from models.failing import select_for_rerun
from models.session import transaction
from models.states import VideoStatus

#: Runs started a minute, unless the caller says otherwise.
PER_MINUTE: Final = 30
#: Videos in one redrive; ask again for the rest.
MAX_VIDEOS: Final = 1_000


class Redriven(BaseModel):
    """What a redrive did, or would do."""

    model_config = ConfigDict(frozen=True)

    dry_run: bool
    video_ids: list[UUID]
    #: Seconds from the first run to the last one.
    spread_s: float
    #: Videos that could not be rerun, and why.
    problems: dict[UUID, str] = {}


def redrive(
    settings: Settings,
    *,
    status: VideoStatus = VideoStatus.FAILED,
    fingerprint: str | None = None,
    per_minute: int = PER_MINUTE,
    dry_run: bool = False,
) -> Redriven:
    """Rerun every failed (or rejected) video, or one group of failures; the oldest first.

    Raises:
        DatabaseUnavailable: transient; asking again is safe.
    """
    with transaction(settings.database) as session:
        chosen = select_for_rerun(
            session, status=status, fingerprint=fingerprint, owner_id=settings.owner_id, limit=MAX_VIDEOS
        )
    gap = dt.timedelta(minutes=1) / per_minute
    problems: dict[UUID, str] = {}
    if not dry_run:
        for place, video_id in enumerate(chosen):
            try:
                rerun(settings, video_id, after=gap * place)
            except DailiesError as error:
                problems[video_id] = str(error)
    spread = gap * max(0, len(chosen) - 1)
    return Redriven(dry_run=dry_run, video_ids=list(chosen), spread_s=spread.total_seconds(), problems=problems)
