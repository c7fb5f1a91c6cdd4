"""The JSON documents of the HTTP door; their keys are what people script against."""

import datetime as dt
from uuid import UUID

from pydantic import BaseModel

from core.settings import Settings
from core.stages import Stage
from core.values import CutKind
from models.states import VideoStatus
from models.summary import StageSummary, summarise
from models.video import Video


class RenditionDocument(BaseModel):
    """A playable file."""

    name: str
    width: int
    height: int
    bytes: int


class ShotDocument(BaseModel):
    """Frames between two cuts, half-open [start_s, end_s); `kind` and `confidence` are of the cut it begins with."""

    start_s: float
    end_s: float
    kind: CutKind
    confidence: float


class SceneDocument(BaseModel):
    """A search result, half-open [start_s, end_s)."""

    scene_id: UUID
    start_s: float
    end_s: float


class FailureDocument(BaseModel):
    """What an operator asks first of a failed video."""

    stage: Stage | None
    error_class: str
    #: Names the group of failures that had the same reason.
    fingerprint: str | None


class UrlsDocument(BaseModel):
    """Stable addresses of derived files; None where there is no such file."""

    #: HLS with every rung and the sound.
    hls: str | None
    #: One MP4 with pictures and sound, for players without HLS.
    video: str | None
    #: WebVTT that names the tiles of the scrub bar.
    storyboard: str | None
    #: Pictures of each rung, without sound.
    renditions: dict[str, str]
    proxy: str | None
    contact_sheet: str | None
    #: One per scene, in order.
    posters: list[str | None]


class VideoSummary(BaseModel):
    """One line of a list."""

    video_id: UUID
    title: str
    #: Name of the uploaded file, or the last part of its key.
    file_name: str | None
    status: VideoStatus
    #: Reason code of a rejected video.
    reason: str | None
    #: One sentence: why it was rejected, or how it failed.
    error: str | None
    duration_s: float | None
    degraded: list[str]
    created_at: dt.datetime
    flow_run_id: UUID | None
    run_url: str | None


class VideoPage(BaseModel):
    """Videos, newest first."""

    videos: list[VideoSummary]
    #: Give it as `cursor` to go on; None at the end.
    next: str | None


class StatusDocument(BaseModel):
    """What somebody who waits wants to know."""

    video_id: UUID
    status: VideoStatus
    reason: str | None
    error: str | None
    flow_run_id: UUID | None
    stages: list[StageSummary]
    #: When the first stage of all began, by the database's clock; None before.
    first_task_at: dt.datetime | None


class VideoDocument(VideoSummary):
    """Everything about one video."""

    description: str | None
    renditions: list[RenditionDocument]
    shots: list[ShotDocument]
    scenes: list[SceneDocument]
    stages: list[StageSummary]
    failure: FailureDocument | None
    urls: UrlsDocument
    first_task_at: dt.datetime | None
    indexed_at: dt.datetime | None


def sentence_of(video: Video) -> str | None:
    """Give the one sentence that says what went wrong."""
    if video.status is VideoStatus.REJECTED:
        return video.reject_sentence
    if video.status is VideoStatus.FAILED:
        return video.error_message or video.error_class
    return None


def first_task_at(video: Video) -> dt.datetime | None:
    """Give the start of the oldest entry of the ledger."""
    return min((run.started_at for run in video.stage_runs), default=None)


def run_url(flow_run_id: UUID, settings: Settings) -> str:
    """Give the address of a run's page in the Prefect UI."""
    return f"{settings.workflow.ui_url}/v2/runs/flow-run/{flow_run_id}"


def summary_of(video: Video, settings: Settings) -> VideoSummary:
    """Describe a video in one line."""
    return VideoSummary(
        video_id=video.id,
        title=video.title,
        file_name=video.file_name,
        status=video.status,
        reason=video.reject_reason,
        error=sentence_of(video),
        duration_s=None if video.duration_s is None else float(video.duration_s),
        degraded=video.degraded,
        created_at=video.created_at,
        flow_run_id=video.flow_run_id,
        run_url=run_url(video.flow_run_id, settings) if video.flow_run_id else None,
    )


def status_of(video: Video) -> StatusDocument:
    """Describe how far a video is; needs its ledger loaded."""
    return StatusDocument(
        video_id=video.id,
        status=video.status,
        reason=video.reject_reason,
        error=sentence_of(video),
        flow_run_id=video.flow_run_id,
        stages=summarise(video.stage_runs, video.duration_s),
        first_task_at=first_task_at(video),
    )


def document_of(video: Video, settings: Settings) -> VideoDocument:
    """Describe a video in full; needs all its parts loaded."""
    return VideoDocument(
        **summary_of(video, settings).model_dump(),
        description=video.description,
        renditions=[
            RenditionDocument(name=made.name, width=made.width, height=made.height, bytes=made.size_bytes)
            for made in video.renditions
        ],
        shots=[
            ShotDocument(
                start_s=float(shot.start_s), end_s=float(shot.end_s), kind=shot.kind, confidence=shot.confidence
            )
            for shot in video.shots
        ],
        scenes=[
            SceneDocument(scene_id=scene.id, start_s=float(scene.start_s), end_s=float(scene.end_s))
            for scene in video.scenes
        ],
        stages=summarise(video.stage_runs, video.duration_s),
        failure=_failure_of(video),
        urls=_urls_of(video, f"{settings.service.url}/videos/{video.id}/files"),
        first_task_at=first_task_at(video),
        indexed_at=video.indexed_at,
    )


def _failure_of(video: Video) -> FailureDocument | None:
    if video.status is not VideoStatus.FAILED or video.error_class is None:
        return None
    return FailureDocument(
        stage=Stage(video.error_stage) if video.error_stage else None,
        error_class=video.error_class,
        fingerprint=video.error_fingerprint,
    )


def _urls_of(video: Video, base: str) -> UrlsDocument:
    there = {file.path for file in video.files}

    def at(path: str) -> str | None:
        return f"{base}/{path}" if path in there else None

    return UrlsDocument(
        hls=at("master.m3u8"),
        video=at("video.mp4"),
        storyboard=at("storyboard.vtt"),
        renditions={made.name: f"{base}/{made.name}.mp4" for made in video.renditions},
        proxy=f"{base}/proxy.mp4" if video.proxy_key else None,
        contact_sheet=f"{base}/contact-sheet.jpg" if video.contact_sheet_key else None,
        posters=[f"{base}/scenes/{scene.index}/poster.jpg" if scene.poster_key else None for scene in video.scenes],
    )
