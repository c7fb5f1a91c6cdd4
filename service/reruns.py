"""Reruns over HTTP: one video, or a group of failed ones."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from core.stages import Stage
from models import Video
from models.failing import FailureGroup, failure_groups
from models.states import VideoStatus
from service.bodies import Storable
from service.documents import run_url
from service.door import DoorOf
from service.videos import owned_by

router = APIRouter(tags=["reruns"])


class RerunRequest(BaseModel):
    """How to rerun a video."""

    model_config = ConfigDict(extra="forbid")

    #: Redo this stage and those after it, even when their results are there.
    from_stage: Stage | None = None


class RerunAnswer(BaseModel):
    """The run that resumes a video."""

    video_id: UUID
    flow_run_id: UUID
    run_url: str


class RedriveRequest(BaseModel):
    """Which videos to rerun, and how fast."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["failed", "rejected"] = "failed"
    #: One group of failures, as GET /failures names it; None takes all of that status.
    fingerprint: Annotated[str, StringConstraints(max_length=64), Storable] | None = None
    per_minute: int = Field(30, ge=1, le=600)
    dry_run: bool = False


class RedriveAnswer(BaseModel):
    """What a redrive did, or would do."""

    dry_run: bool
    #: Videos it took, or would take; the first thousand are named.
    count: int
    video_ids: list[UUID]
    #: Seconds until the last one's turn, at least.
    spread_s: float
    #: All videos that stand in line now.
    waiting: int


@router.post("/videos/{video_id}/rerun", status_code=202)
def rerun_video(door: DoorOf, video_id: UUID, request: Annotated[RerunRequest | None, Body()] = None) -> RerunAnswer:
    """Resume a video at its first unfinished stage."""
    # Imported here and below: the Prefect client takes a second to import, and the service answers before that.
    from dispatch.rerun import rerun

    with door.transaction() as session:
        owned_by(session.get(Video, video_id), door.settings.owner_id, video_id)
    run_id = rerun(door.settings, video_id, request.from_stage if request else None)
    return RerunAnswer(video_id=video_id, flow_run_id=run_id, run_url=run_url(run_id, door.settings))


@router.get("/failures")
def failures(door: DoorOf) -> list[FailureGroup]:
    """List what went wrong, grouped, the largest group first."""
    with door.transaction() as session:
        return failure_groups(session, door.settings.owner_id)


@router.post("/redrive", status_code=202)
def redrive_videos(door: DoorOf, request: RedriveRequest) -> RedriveAnswer:
    """Line up a group of failed or rejected videos for a rerun, a few at a time."""
    from dispatch.redrive import redrive

    done = redrive(
        door.settings,
        status=VideoStatus(request.status),
        fingerprint=request.fingerprint,
        per_minute=request.per_minute,
        dry_run=request.dry_run,
    )
    return RedriveAnswer(**done.model_dump())
