"""What of what there is was done, and by which recipe: coverage, why, and backfills that mend it."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.fingerprint import Recipes
from core.settings import Settings
from core.stages import Stage
from models import Encoder, Video, VideoStatus, ledger, recipes, spaces
from models.coverage import coverage as counted
from models.coverage import videos_lacking
from models.lacking import Candidate, Lack, Order, Wanted
from models.recipes import Column
from service.documents import run_url
from service.door import DoorOf
from service.errors import MalformedRequest
from service.videos import cursor_at, owned_by, place_of
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


class LackingVideo(BaseModel):
    """A video that coverage counts as failed, stale or missing."""

    video_id: UUID
    title: str
    status: VideoStatus
    state: Lack


class LackingPage(BaseModel):
    """Some of them, the newest first."""

    videos: list[LackingVideo]
    #: Cursor of the next page; None on the last one.
    next: str | None


class BackfillRequest(BaseModel):
    """What to bring up to date; the fields are those of the form in the Prefect UI, for the videos of our owner."""

    model_config = ConfigDict(extra="forbid")

    stage: Literal["transcode", "shots", "stills", "embed"] = "embed"
    space: str | None = Field(None, max_length=500)
    #: Only videos that coverage counts so.
    state: Lack | None = None
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
    #: On which it must be begun at most: its daily budget may end it on each.
    days: int
    #: Where it can be watched; None for a dry run, or when there is nothing to do.
    run_url: str | None


@router.get("/coverage")
def coverage(door: DoorOf) -> list[CoverageRow]:
    """Say of each stage, and of each embedding space, how many videos are up to date and what the others lack."""
    with door.transaction() as session:
        return coverage_of(session, door.settings)


def coverage_of(session: Session, settings: Settings) -> list[CoverageRow]:
    """Give the matrix, stages in their order."""
    found = counted(session, recipes.columns(session, Recipes(settings)), settings.owner_id)
    return [CoverageRow(**row.model_dump(exclude={"encoder_id"})) for row in found]


@router.get("/coverage/{stage}/videos")
def lacking(
    door: DoorOf,
    stage: Stage,
    state: Lack | None = None,
    space: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> LackingPage:
    """List the videos that coverage counts as failed, stale or missing in a stage, newest first.

    With embed, `space` says in which one, as `dailies encoders` shows it; without it, the one that answers searches.
    """
    if space is not None and stage is not Stage.EMBED:
        raise MalformedRequest("space: it goes with embed.")
    with door.transaction() as session:
        column, recipe = _column(session, Recipes(door.settings), stage, space)
        wanted = Wanted(column=column, recipe=recipe, owner_id=door.settings.owner_id, lack=state)
        after = Candidate.at(*place_of(cursor)) if cursor else None
        found = videos_lacking(session, wanted, after, limit + 1)
    page = found[:limit]
    return LackingPage(
        videos=[LackingVideo(state=one.lack, **one.model_dump(exclude={"lack", "video_at"})) for one in page],
        next=cursor_at(page[-1].video_at, page[-1].video_id) if len(found) > limit else None,
    )


def _column(session: Session, today: Recipes, stage: Stage, space: str | None) -> tuple[Column, str]:
    if stage is not Stage.EMBED:
        return Column(stage), today.of(stage)
    row = spaces.space_named(session, space) if space else session.scalar(select(Encoder).where(Encoder.is_active))
    if row is None:
        raise NotFound("No encoder answers searches yet: there is no space to look into.")
    return Column(stage, row.id), today.of_space(row.spec)


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
    from dispatch import asking, planning

    selection = planning.Selection(
        stage=Stage(request.stage), **request.model_dump(include={"space", "state", "order", "since", "until"})
    )
    planned = planning.plan(door.settings, selection, request.per_minute)
    run_id = None
    if not request.dry_run and planned.videos:
        run_id = asking.start(request.model_dump(mode="json"))
    return BackfillAnswer(
        dry_run=request.dry_run,
        videos=planned.videos,
        hours=planned.hours,
        bytes=planned.bytes,
        days=planning.days(planned, request.per_minute, request.daily_budget),
        run_url=run_url(run_id, door.settings) if run_id else None,
    )
