"""Derived files at stable addresses: a rerun changes what lies there, never the address."""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response, StreamingResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import NotFound
from models import DerivedFile, Rendition, Scene, Video
from service.door import DoorOf
from service.ranges import matches, span_for
from storage.client import ObjectStat

router = APIRouter(tags=["files"])

PATH: Final = "/videos/{video_id}/files/{path:path}"
MEDIA_TYPES: Final = {
    "mp4": "video/mp4",
    "m3u8": "application/vnd.apple.mpegurl",
    "jpg": "image/jpeg",
    "vtt": "text/vtt",
}
_POSTER: Final = re.compile(r"scenes/(?P<index>\d{1,9})/poster\.jpg")
_RENDITION: Final = re.compile(r"(?P<name>[\w.-]{1,64})\.mp4")


def key_of(session: Session, owner_id: str, video_id: UUID, path: str) -> str:
    """Give the key of the object that a path names now.

    Raises:
        NotFound: no such video or no such file (permanent).
    """
    video = session.scalar(select(Video).where(Video.id == video_id, Video.owner_id == owner_id))
    if video is None:
        raise NotFound(f"There is no video {video_id}.")
    key = None if "\0" in path else _key_in(session, video, path)
    if key is None:
        raise NotFound(f"Video {video_id} ({video.status}) has no file {path}.")
    return key


def _key_in(session: Session, video: Video, path: str) -> str | None:
    if named := session.get(DerivedFile, (video.id, path)):
        return named.key
    if path == "contact-sheet.jpg":
        return video.contact_sheet_key
    if path == "proxy.mp4":
        return video.proxy_key
    if poster := _POSTER.fullmatch(path):
        return session.scalar(
            select(Scene.poster_key).where(Scene.video_id == video.id, Scene.index == int(poster["index"]))
        )
    if rendition := _RENDITION.fullmatch(path):
        return session.scalar(
            select(Rendition.key).where(Rendition.video_id == video.id, Rendition.name == rendition["name"])
        )
    return None


@router.head(PATH, include_in_schema=False)
@router.get(PATH, response_class=StreamingResponse)
def read_file(
    request: Request,
    door: DoorOf,
    video_id: UUID,
    path: str,
    range_: Annotated[str | None, Header(alias="range")] = None,
    if_range: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Stream a derived file.

    `master.m3u8` (HLS; it names the others), `video.mp4` (pictures and sound), a rung (`720p.mp4`, pictures alone),
    `audio.mp4`, `proxy.mp4`, `storyboard.vtt` and `.jpg`, `contact-sheet.jpg`, `scenes/0/poster.jpg`.
    """
    with door.transaction() as session:
        key = key_of(session, door.settings.owner_id, video_id, path)
    bucket = door.settings.storage.derived_bucket
    found = door.store.stat(bucket, key)
    headers = _headers(found)
    if matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    # A range of another version than the caller has is useless to it: then the whole file is sent.
    wanted = range_ if if_range is None or if_range.strip() == headers["ETag"] else None
    span = span_for(wanted, found.size_bytes)
    first, length = span or (0, found.size_bytes)
    headers["Content-Length"] = str(length)
    if span:
        headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{found.size_bytes}"
    status = 206 if span else 200
    media_type = "audio/mp4" if path == "audio.mp4" else MEDIA_TYPES[path.rpartition(".")[2]]
    if request.method == "HEAD" or not length:
        return Response(status_code=status, headers=headers, media_type=media_type)
    blocks = _opened(door.store.stream(bucket, key, first, length))
    return StreamingResponse(blocks, status_code=status, headers=headers, media_type=media_type)


def _headers(found: ObjectStat) -> dict[str, str]:
    return {
        "ETag": f'"{found.etag}"',
        "Accept-Ranges": "bytes",
        # The address outlives its content: browsers keep the file but ask whether it is still the one.
        "Cache-Control": "private, no-cache",
        "X-Content-Type-Options": "nosniff",
    }


def _opened(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Read the first block now, so that a store that does not answer is an error and not half a reply."""
    first = next(blocks, b"")
    return chain((first,), blocks)
