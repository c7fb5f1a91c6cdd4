"""Which flow runs the records still need: the vacuum of Prefect's database leaves those alone."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from models.states import VideoStatus
from models.video import Video
from models.video_stage import VideoStage

#: Nothing is left to do for a video that ended so, unless somebody asked for a rerun.
_ENDED: Final = (VideoStatus.INDEXED, VideoStatus.REJECTED)


def needed_runs(session: Session, runs: Mapping[UUID, UUID | None]) -> set[UUID]:
    """Of flow runs, each with the video it was for, give those that may yet be resumed.

    That is every run of a video that has failed, is on its way, is rerun, stands in line for that, or is published and
    failed in a backfill.
    """
    videos = {video_id for video_id in runs.values() if video_id is not None}
    # It is published, and what a backfill was to bring it up to failed.
    behind = exists().where(VideoStage.video_id == Video.id, VideoStage.failed)
    unfinished = or_(Video.status.not_in(_ENDED), Video.rerun_at.is_not(None), Video.redrive_at.is_not(None), behind)
    rows = session.execute(
        select(Video.id, Video.flow_run_id).where(unfinished, or_(Video.id.in_(videos), Video.flow_run_id.in_(runs)))
    ).all()
    open_videos, open_runs = {row.id for row in rows}, {row.flow_run_id for row in rows}
    return {run_id for run_id, video_id in runs.items() if video_id in open_videos or run_id in open_runs}
