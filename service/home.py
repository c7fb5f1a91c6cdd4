"""The search page: a form, and the scenes it found."""

from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import Field, StringConstraints
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from core.settings import Settings
from models import Scene, Video, VideoStatus
from models.best_scenes import scene_with_video
from models.reading import list_videos
from service.bodies import Storable
from service.door import Door, DoorOf
from service.finding import Choice, Findings, find_by_picture, find_by_text, find_similar
from service.hits import SceneHitDocument, hit_of, player_path, poster_path, shows_it
from service.judging import Sort
from service.pages import page
from service.pictures import sent_picture
from service.turns import in_turn, searched

router = APIRouter(tags=["pages"], include_in_schema=False)

#: Videos shown to somebody who has not asked for anything yet.
LATEST: Final = 12
#: Videos, and where their posters are.
Latest = Sequence[tuple[Video, str | None]]


class Asked(Choice):
    """What the form sends; everything may be left out."""

    q: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1_000), Storable] = ""
    like: UUID | None = None
    limit: int = Field(24, ge=1, le=200)


@router.get("/")
async def home(request: Request, door: DoorOf, asked: Annotated[Asked, Query()]) -> HTMLResponse:
    """Show the form and, when something was asked, what was found."""
    findings, like = None, None
    if asked.like is not None:
        findings = await searched(request, Sort.SCENE, find_similar, door, asked.like, asked)
        like = await in_turn(request, _described, door, asked.like)
    elif asked.q:
        findings = await searched(request, Sort.TEXT, find_by_text, door, asked.q, asked)
    latest = await run_in_threadpool(_latest, door) if findings is None else []
    video = next(iter(asked.video), None)
    return _page(request, door.settings, findings, q=asked.q, like=like, video=video, latest=latest)


@router.post("/")
async def home_with_picture(
    request: Request, door: DoorOf, picture: Annotated[bytes, Depends(sent_picture)]
) -> HTMLResponse:
    """Show what looks like the picture that the form sent."""
    findings = await searched(request, Sort.PICTURE, find_by_picture, door, picture, Choice(limit=48))
    return _page(request, door.settings, findings, q="", by_picture=True)


def _described(door: Door, scene_id: UUID) -> dict[str, str] | None:
    with door.transaction() as session:
        scene = scene_with_video(session, scene_id, owner_id=door.settings.owner_id)
        if scene is None:
            return None
        return {"title": scene.video.title, "url": player_path(scene.video_id, scene.start_s)}


def _page(
    request: Request,
    settings: Settings,
    findings: Findings | None,
    *,
    q: str,
    like: dict[str, str] | None = None,
    video: UUID | None = None,
    by_picture: bool = False,
    latest: Latest = (),
) -> HTMLResponse:
    hits = [hit_of(hit, settings) for hit in findings.hits] if findings else []
    more = None
    if findings and findings.next:
        more = request.url.include_query_params(cursor=findings.next).query
    return page(
        "search.html",
        q=q,
        like=like,
        video=video,
        by_picture=by_picture,
        asked=findings is not None,
        no_good_match=findings is not None and findings.no_good_match,
        hits=[(hit, _here(hit.url, settings), _here(hit.poster_url, settings)) for hit in hits],
        reason=reason,
        strength=strength,
        more=more,
        latest=latest,
    )


def _latest(door: Door) -> Latest:
    """Give the newest videos that can be watched, each with the poster of its first scene."""
    with door.transaction() as session:
        videos = list_videos(session, owner_id=door.settings.owner_id, status=VideoStatus.INDEXED, limit=LATEST)
        with_poster = select(Scene.video_id).where(
            Scene.video_id.in_([video.id for video in videos]), Scene.index == 0, Scene.poster_key.is_not(None)
        )
        shown = set(session.scalars(with_poster))
    return [(video, poster_path(video.id, 0) if video.id in shown else None) for video in videos]


def strength(hit: SceneHitDocument) -> str:
    """Say in a word how strong a hit is: how sure its picture is, or that a text says it."""
    if hit.why.text and not shows_it(hit):
        return "text"
    return f"{hit.score:.2f}" if hit.confidence is None else f"{100 * hit.confidence:.0f} %"


def reason(hit: SceneHitDocument) -> str:
    """Say in words why a scene was found."""
    says = "says " + ", ".join(hit.why.text.words) if hit.why.text else ""
    if shows_it(hit):
        return " · ".join(filter(None, ("looks like it", says)))
    return says or "looks a little like it"


def _here(url: str | None, settings: Settings) -> str | None:
    return url.removeprefix(settings.service.url) if url else None
