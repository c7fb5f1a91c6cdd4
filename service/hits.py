"""The JSON documents of searches; their keys are what people script against."""

import math
from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel

from core.settings import Settings
from encoders.confidence import MATCH
from models.scene import Scene
from models.states import VideoStatus
from service.finding import Hit


class VisualReason(BaseModel):
    """It is among the scenes that look most like what was asked for."""

    rank: int
    similarity: float


class TextReason(BaseModel):
    """The title or the description of its video says the words."""

    rank: int
    words: list[str]


class WhyDocument(BaseModel):
    """Why a scene was found."""

    visual: VisualReason | None
    text: TextReason | None


class SameDocument(BaseModel):
    """A scene that looks the same as the hit it is told with."""

    scene_id: UUID
    video_id: UUID
    start_s: float
    title: str


class SceneHitDocument(BaseModel):
    """A scene that answers a search, half-open [start_s, end_s); best first."""

    scene_id: UUID
    video_id: UUID
    start_s: float
    end_s: float
    #: Cosine similarity of its picture and what was asked; compare it inside one search only.
    score: float
    title: str
    #: Probability that it is what was asked for; None where the encoder has not been calibrated.
    confidence: float | None
    #: False when it is most likely not; None where the encoder has not been calibrated.
    is_good_match: bool | None
    why: WhyDocument
    #: Plays the video from the scene's first frame on.
    url: str
    poster_url: str | None
    #: Scenes that look the same, left out of the list.
    same: list[SameDocument]


class SceneInFullDocument(BaseModel):
    """Everything about one scene, half-open [start_s, end_s)."""

    scene_id: UUID
    video_id: UUID
    #: Its place in the video, from 0 on.
    index: int
    start_s: float
    end_s: float
    title: str
    status: VideoStatus
    url: str
    poster_url: str | None
    similar_url: str


def hit_of(hit: Hit, settings: Settings) -> SceneHitDocument:
    """Describe a hit."""
    candidate = hit.found.candidate
    scene = candidate.scene
    visual = text = None
    if candidate.visual_rank is not None:
        visual = VisualReason(rank=candidate.visual_rank, similarity=scene.score)
    if candidate.words_rank is not None:
        text = TextReason(rank=candidate.words_rank, words=list(candidate.words))
    return SceneHitDocument(
        **scene.model_dump(include={"scene_id", "video_id", "start_s", "end_s", "score", "title"}),
        confidence=hit.judgement.confidence,
        is_good_match=hit.judgement.is_good_match,
        why=WhyDocument(visual=visual, text=text),
        url=settings.service.url + player_path(scene.video_id, scene.start_s),
        poster_url=settings.service.url + poster_path(scene.video_id, scene.index) if scene.poster_key else None,
        same=[SameDocument.model_validate(same.model_dump()) for same in hit.found.same],
    )


def shows_it(hit: SceneHitDocument) -> bool:
    """Say whether its picture alone makes it a hit; as far as is known, where nothing was measured."""
    return hit.why.visual is not None and (hit.confidence is None or hit.confidence >= MATCH)


def scene_in_full_of(scene: Scene, settings: Settings) -> SceneInFullDocument:
    """Describe one scene; needs its video loaded."""
    base = settings.service.url
    return SceneInFullDocument(
        scene_id=scene.id,
        video_id=scene.video_id,
        index=scene.index,
        start_s=float(scene.start_s),
        end_s=float(scene.end_s),
        title=scene.video.title,
        status=scene.video.status,
        url=base + player_path(scene.video_id, scene.start_s),
        poster_url=base + poster_path(scene.video_id, scene.index) if scene.poster_key else None,
        similar_url=f"{base}/scenes/{scene.id}/similar",
    )


def player_path(video_id: UUID, start_s: float | Decimal) -> str:
    """Give the page that plays a video from a second on."""
    return f"/videos/{video_id}?t={second_for(start_s)}"


def second_for(start_s: float | Decimal) -> str:
    """Write a moment to the millisecond, rounded up: never the last frame of the scene before."""
    return f"{math.ceil(Decimal(str(start_s)) * 1000) / 1000:.3f}".rstrip("0").rstrip(".")


def poster_path(video_id: UUID, index: int) -> str:
    """Give the address of a scene's poster."""
    return f"/videos/{video_id}/files/scenes/{index}/poster.jpg"
