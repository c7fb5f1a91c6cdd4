"""Announced uploads: a place to PUT the file, and a word when it is there."""

import datetime as dt
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from core.errors import ObjectMissing
from models import Video, VideoStatus, inbox
from service.bodies import Storable
from service.door import Door, DoorOf
from service.errors import NotUploaded, TooLarge
from service.videos import owned_by
from storage import keys

router = APIRouter(prefix="/videos/upload", tags=["uploads"])


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000), Storable]
Prose = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000), Storable]


class UploadAnnouncement(BaseModel):
    """What a client says before it uploads."""

    file_name: Name
    title: Name | None = None
    description: Prose | None = None
    content_type: Name | None = None
    size_bytes: int | None = Field(None, ge=0)


class UploadTicket(BaseModel):
    """Where to PUT the file."""

    video_id: UUID
    key: str
    method: Literal["PUT"] = "PUT"
    upload_url: str
    expires_at: dt.datetime


class UploadedVideo(BaseModel):
    """The video that an object became."""

    video_id: UUID
    status: VideoStatus


class UploadNotice(BaseModel):
    """Which upload is complete."""

    video_id: UUID


@router.post("/init", status_code=201)
def announce(door: DoorOf, upload: UploadAnnouncement) -> UploadTicket:
    """Announce a video and get an address to PUT it to."""
    limit = door.settings.limits.max_bytes
    if upload.size_bytes is not None and upload.size_bytes > limit:
        raise TooLarge(
            f"The file has {upload.size_bytes} bytes; at most {int(limit)} ({limit.human_readable()}) are accepted."
        )
    expires_at = dt.datetime.now(dt.UTC) + door.settings.storage.upload_url_life
    with door.transaction() as session:
        video = inbox.announce(
            session,
            owner_id=door.settings.owner_id,
            file_name=upload.file_name,
            title=upload.title,
            description=upload.description,
            content_type=upload.content_type,
        )
        key = keys.upload(video.id, upload.file_name)
        url = door.store.presign_put(key)
    return UploadTicket(video_id=video.id, key=key, upload_url=url, expires_at=expires_at)


@router.post("/complete")
def complete(door: DoorOf, notice: UploadNotice) -> UploadedVideo:
    """Say that the file is there; repeating it is no error. The store's own webhook does the same."""
    with door.transaction() as session:
        video = owned_by(session.get(Video, notice.video_id), door.settings.owner_id, notice.video_id)
    recorded = _record(door, video)
    door.wake()
    return recorded


def _record(door: Door, video: Video) -> UploadedVideo:
    bucket = door.settings.storage.uploads_bucket
    try:
        source = door.store.source_version(bucket, keys.upload(video.id, video.file_name or ""))
    except ObjectMissing as error:
        if video.status is VideoStatus.UPLOADING:
            raise NotUploaded from error
        return UploadedVideo(video_id=video.id, status=video.status)  # it was here once
    with door.transaction() as session:
        row = inbox.record_source(session, source, owner_id=video.owner_id, announced=video.id)
        found = session.get_one(Video, row.video_id)
        return UploadedVideo(video_id=found.id, status=found.status)


class AdoptRequest(BaseModel):
    """Whether only to count."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = True


class AdoptAnswer(BaseModel):
    """Objects that were in the bucket before Dailies was and are not in the inbox yet."""

    dry_run: bool
    older_objects: int


@router.post("/adopt")
def adopt(door: DoorOf, request: AdoptRequest) -> AdoptAnswer:
    """Count the older objects of the bucket, or let them come in through the backfill queue."""
    from dispatch.lost import adopt_older

    return AdoptAnswer(dry_run=request.dry_run, older_objects=adopt_older(door.settings, dry_run=request.dry_run))
