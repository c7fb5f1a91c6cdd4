"""Videos: the list, one in full, and how far one is."""

import base64
import binascii
import datetime as dt
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from core.errors import NotFound
from models import Video, VideoStatus
from models.reading import list_videos, video_with_parts
from service.documents import (
    StatusDocument,
    VideoDocument,
    VideoPage,
    document_of,
    status_of,
    summary_of,
)
from service.door import DoorOf
from service.errors import MalformedRequest
from service.finding import Length
from service.pages import wants_page
from service.player import player_page

router = APIRouter(tags=["videos"])

#: Hex digits of a video's id.
_DIGITS: Final = 32


@router.get("/videos")
def videos(
    door: DoorOf,
    status: VideoStatus | None = None,
    id_: Annotated[str | None, Query(alias="id", pattern=r"^[0-9a-fA-F-]{1,36}$")] = None,
    key: Annotated[str | None, Query(max_length=1024, pattern=r"^[^\x00]*$")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> VideoPage:
    """List videos, newest first; `id` takes the first digits of one, `key` the name of an uploaded object."""
    with door.transaction() as session:
        found = list_videos(
            session,
            owner_id=door.settings.owner_id,
            status=status,
            ids=ids_beginning(id_) if id_ else None,
            key=key,
            after=place_of(cursor) if cursor else None,
            limit=limit + 1,
        )
    page = found[:limit]
    return VideoPage(
        videos=[summary_of(video, door.settings) for video in page],
        next=cursor_at(page[-1].created_at, page[-1].id) if len(found) > limit else None,
    )


@router.get("/videos/{video_id}", response_model=VideoDocument)
def video(
    request: Request, response: Response, door: DoorOf, video_id: UUID, t: Length = 0.0
) -> VideoDocument | HTMLResponse:
    """Show everything about one video; who prefers text/html gets a page that plays it from second `t` on."""
    with door.transaction() as session:
        found = owned_by(video_with_parts(session, video_id), door.settings.owner_id, video_id)
        document = document_of(found, door.settings)
    if wants_page(request):
        return player_page(document, door.settings, t)
    response.headers["Vary"] = "Accept"
    return document


@router.get("/videos/{video_id}/status")
def status(door: DoorOf, video_id: UUID) -> StatusDocument:
    """Show how far one video is."""
    with door.transaction() as session:
        return status_of(owned_by(_with_ledger(session, video_id), door.settings.owner_id, video_id))


def owned_by(video: Video | None, owner_id: str, video_id: UUID) -> Video:
    """Give the video when it is this owner's.

    Raises:
        NotFound: there is none, or it is somebody else's, which sounds the same (permanent).
    """
    if video is None or video.owner_id != owner_id:
        raise NotFound(f"There is no video {video_id}.")
    return video


def _with_ledger(session: Session, video_id: UUID) -> Video | None:
    return session.scalar(select(Video).where(Video.id == video_id).options(selectinload(Video.stage_runs)))


def ids_beginning(text: str) -> tuple[UUID, UUID]:
    """Give the lowest and the highest id that begins with these digits.

    Raises:
        MalformedRequest: these are too many (permanent).
    """
    digits = text.replace("-", "")
    if not 0 < len(digits) <= _DIGITS:
        raise MalformedRequest("id: give the first digits of a video's id.")
    return UUID(digits.ljust(_DIGITS, "0")), UUID(digits.ljust(_DIGITS, "f"))


def cursor_at(moment: dt.datetime, video_id: UUID) -> str:
    """Write down a place in a list of videos, opaque to the caller: when the last one shown came, and its id."""
    place = f"{moment.isoformat()} {video_id}"
    return base64.urlsafe_b64encode(place.encode()).decode()


def place_of(cursor: str) -> tuple[dt.datetime, UUID]:
    """Read a place in the list.

    Raises:
        MalformedRequest: this is no cursor of ours (permanent).
    """
    try:
        moment, _, video_id = base64.urlsafe_b64decode(cursor).decode().partition(" ")
        return dt.datetime.fromisoformat(moment), UUID(video_id)
    except (ValueError, binascii.Error) as error:
        raise MalformedRequest("cursor: take it from `next` of the page before.") from error
