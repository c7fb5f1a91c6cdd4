"""Rerun: the existing run is set to scheduled; only when Prefect no longer has it is a run created."""

from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from core.errors import NotFound
from core.settings import Settings
from core.stages import Stage, stages_from
from dispatch.runs import request_run, reschedule
from models import attempts, inbox, ledger
from models.session import transaction
from models.states import LIVE_STATUSES, Queue
from models.video import Video

#: Seconds from a video's end to that of its run, at most: asked in between, a rerun would be taken for done.
ENDING_S: Final = 10.0


def rerun(settings: Settings, video_id: UUID, from_stage: Stage | None = None) -> UUID:
    """Resume a video at its first unfinished stage; give the flow run that does it.

    A video whose run has not ended is left alone. When a stage is to be redone, what is running goes on under the old
    fingerprints; once that is published, settle resumes the run, which takes the new ones.

    Args:
        from_stage: redo this stage and those after it, even when their results are there.
    Raises:
        NotFound: no such video, or nothing was uploaded for it (permanent).
        WorkflowUnavailable: transient; what was asked for is written down, and done once Prefect answers.
        DatabaseUnavailable: transient; asking again is safe.
    """
    with transaction(settings.database) as session:
        video = session.scalar(
            select(Video).where(Video.id == video_id).options(joinedload(Video.source)).with_for_update(of=Video)
        )
        if video is None:
            raise NotFound(f"There is no video {video_id}.")
        if video.source is None:
            raise NotFound(f"Nothing has been uploaded for video {video_id} yet; upload its file first.")
        if from_stage is not None:
            ledger.redo_from(session, video_id, stages_from(from_stage))
        attempts.ask(video)
        run_id, source_id, title, queue = video.flow_run_id, video.source.id, video.title, video.source.queue
        patience_s = 0.0 if video.status in LIVE_STATUSES else ENDING_S
    if run_id is not None and reschedule(run_id, patience_s):
        return run_id
    return request_again(settings, source_id, video_id, title, queue)


def request_again(settings: Settings, source_id: UUID, video_id: UUID, title: str, queue: Queue) -> UUID:
    """Ask for a run in place of one that Prefect no longer has, and note it."""
    run_id = request_run(source_id, video_id, title, queue)
    with transaction(settings.database) as session:
        inbox.mark_dispatched(session, source_id, run_id)
    return run_id
