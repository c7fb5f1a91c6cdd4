"""What of what there is was done, and by which recipe: coverage, why, and backfills that mend it."""

from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.fingerprint import Recipes
from core.settings import Settings
from core.stages import Stage
from models import Encoder, Video, ledger, recipes
from models.recipes import Order
from service.documents import run_url
from service.door import DoorOf
from service.videos import owned_by
from service.why import Answer, why

router = APIRouter(tags=["coverage"])


class CoverageRow(BaseModel):
    """One stage, or one space of the embed stage; the numbers add up to `videos`."""

    stage: Stage
    #: Encoder of the space, as commands take it; None for the other stages.
    space: str | None
    videos: int
    produced: int
    stale: int
    empty: int
    failed: int
    missing: int


class BackfillRequest(BaseModel):
    """What to bring up to date; the fields are those of the form in the Prefect UI."""

    model_config = ConfigDict(extra="forbid")

    stage: Literal["transcode", "shots", "stills", "embed"] = "embed"
    space: str | None = Field(None, max_length=500)
    order: Order = Order.OLDEST
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    per_minute: int = Field(60, ge=1, le=600)
    daily_budget: int = Field(10_000, ge=1)
    dry_run: bool = True


class BackfillAnswer(BaseModel):
    """What a backfill does, or would do."""

    dry_run: bool
    videos: int
    #: By what it took here so far; None while nothing of the kind has been done.
    hours: float | None
    bytes: int | None
    #: Where it can be watched; None for a dry run, or when there is nothing to do.
    run_url: str | None


@router.get("/coverage")
def coverage(door: DoorOf) -> list[CoverageRow]:
    """Say of each stage, and of each embedding space, how many videos are up to date and what the others lack."""
    with door.transaction() as session:
        return coverage_of(session, door.settings)


def coverage_of(session: Session, settings: Settings) -> list[CoverageRow]:
    """Give the matrix, stages in their order."""
    today = recipes.columns(session, Recipes(settings))
    names = {row.id: f"{row.name}@{row.revision}" for row in session.scalars(select(Encoder))}
    return [
        CoverageRow(space=names.get(row.encoder_id), **row.model_dump(exclude={"encoder_id"}))
        for row in recipes.coverage(session, today, settings.owner_id)
    ]


@router.get("/videos/{video_id}/why")
def why_not(door: DoorOf, video_id: UUID) -> Answer:
    """Say in a sentence why a video is not searchable, and what to do."""
    with door.transaction() as session:
        video = owned_by(session.get(Video, video_id), door.settings.owner_id, video_id)
        return why(
            video,
            ledger.stage_at_work(session, video_id),
            session.scalar(select(Encoder).where(Encoder.is_active)),
            recipes.known(session, video_id),
            recipes.columns(session, Recipes(door.settings)),
        )


@router.post("/backfill", status_code=202)
def backfill(door: DoorOf, request: BackfillRequest) -> BackfillAnswer:
    """Start a backfill as the Prefect UI does, or only say what it would do."""
    # Imported here: the Prefect client takes a second to import, and the service answers before that.
    from dispatch import backfill as backfills

    selection = backfills.Selection(
        stage=Stage(request.stage), space=request.space, order=request.order, since=request.since, until=request.until
    )
    planned = backfills.plan(door.settings, selection)
    run_id = None
    if not request.dry_run and planned.videos:
        run_id = backfills.start(request.model_dump(mode="json"))
    return BackfillAnswer(
        dry_run=request.dry_run,
        videos=planned.videos,
        hours=planned.hours,
        bytes=planned.bytes,
        run_url=run_url(run_id, door.settings) if run_id else None,
    )
