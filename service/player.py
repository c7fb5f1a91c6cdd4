"""The page of one video: it plays from the second that its address names."""

from typing import Any, Final

from fastapi.responses import HTMLResponse

from core.settings import Settings
from models.states import LIVE_STATUSES, VideoStatus
from service.documents import SceneDocument, VideoDocument
from service.hits import second_for
from service.pages import page

#: What a viewer reads of each state.
STATES: Final = {
    VideoStatus.UPLOADING: "Waiting for the upload",
    VideoStatus.VALIDATING: "Being checked",
    VideoStatus.PROCESSING: "Being processed",
    VideoStatus.INDEXED: "Ready",
    VideoStatus.REJECTED: "Rejected",
    VideoStatus.FAILED: "Failed",
}
#: Statuses whose page looks again by itself.
WAITING: Final = (VideoStatus.UPLOADING, *LIVE_STATUSES)


def player_page(video: VideoDocument, settings: Settings, start_s: float) -> HTMLResponse:
    """Render the page of a video, to begin at a second; past its end it begins at the start."""
    if video.duration_s is not None and start_s >= video.duration_s:
        start_s = 0.0
    sources = _sources(video, settings)
    return page(
        "video.html",
        video=video,
        state=STATES[video.status],
        is_waiting=video.status in WAITING,
        start=second_for(start_s),
        sources=sources,
        is_playable=any(sources.values()),
        scenes=[_shown(video, scene, index, settings) for index, scene in enumerate(video.scenes)],
        current=_scene_at(video.scenes, start_s),
    )


def _scene_at(scenes: list[SceneDocument], second: float) -> int | None:
    return next((index for index, scene in enumerate(scenes) if scene.start_s <= second < scene.end_s), None)


def _shown(video: VideoDocument, scene: SceneDocument, index: int, settings: Settings) -> dict[str, Any]:
    poster = video.urls.posters[index]
    return {
        "id": scene.scene_id,
        "start": second_for(scene.start_s),
        "start_s": scene.start_s,
        "seconds": scene.end_s - scene.start_s,
        "poster": _here(poster, settings) if poster else None,
    }


def _sources(video: VideoDocument, settings: Settings) -> dict[str, str | None]:
    """Give what the player may play: HLS, and one file for everybody else."""
    files = [video.urls.video, *video.urls.renditions.values()]
    found = {"hls": video.urls.hls, "file": next((file for file in files if file), None)}
    return {name: url and _here(url, settings) for name, url in found.items()}


def _here(url: str, settings: Settings) -> str:
    """Leave the host out: the page may be read under another name than the configured one."""
    return url.removeprefix(settings.service.url)
