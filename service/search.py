"""Search: scenes by a text, by a picture, or by another scene."""

from typing import Annotated, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, StringConstraints

from core.errors import NotFound
from models.best_scenes import scene_with_video
from service.bodies import Storable
from service.door import DoorOf
from service.finding import Choice, Findings, find_by_picture, find_by_text, find_similar
from service.hits import SceneHitDocument, SceneInFullDocument, hit_of, scene_in_full_of
from service.judging import Sort
from service.pictures import sent_picture
from service.turns import searched

router = APIRouter(tags=["search"])

#: Header that says `true` when nothing that was found is likely to be what was asked for.
NO_GOOD_MATCH: Final = "Dailies-No-Good-Match"

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000), Storable]


class TextQuestion(Choice):
    """A text, and which scenes may answer."""

    q: Text = Field(description="what the scene shows, or words of a title or description")


@router.get("/search")
async def search(
    request: Request, response: Response, door: DoorOf, question: Annotated[TextQuestion, Query()]
) -> list[SceneHitDocument]:
    """Find the scenes that show what a text says, or whose video's title or description says it, best first.

    The `Link` header leads to the next page.
    """
    findings = await searched(request, Sort.TEXT, find_by_text, door, question.q, question)
    return _told(request, response, findings)


@router.post("/search/image")
async def search_by_image(
    request: Request,
    response: Response,
    door: DoorOf,
    choice: Annotated[Choice, Query()],
    picture: Annotated[bytes, Depends(sent_picture)],
) -> list[SceneHitDocument]:
    """Find the scenes that look like a picture: JPEG, PNG or WebP, as the body or as a form's file, up to 10 MB.

    The `Link` header leads to the next page; send the same picture there.
    """
    findings = await searched(request, Sort.PICTURE, find_by_picture, door, picture, choice)
    return _told(request, response, findings)


@router.get("/scenes/{scene_id}")
def scene(door: DoorOf, scene_id: UUID) -> SceneInFullDocument:
    """Show one scene."""
    with door.transaction() as session:
        found = scene_with_video(session, scene_id, owner_id=door.settings.owner_id)
        if found is None:
            raise NotFound(f"There is no scene {scene_id}.")
        return scene_in_full_of(found, door.settings)


@router.get("/scenes/{scene_id}/similar")
async def similar(
    request: Request, response: Response, door: DoorOf, scene_id: UUID, choice: Annotated[Choice, Query()]
) -> list[SceneHitDocument]:
    """Find the scenes that look like another one, best first."""
    findings = await searched(request, Sort.SCENE, find_similar, door, scene_id, choice)
    return _told(request, response, findings)


def _told(request: Request, response: Response, findings: Findings) -> list[SceneHitDocument]:
    """Give the hits as the body, and what is true of the whole answer as headers."""
    response.headers[NO_GOOD_MATCH] = "true" if findings.no_good_match else "false"
    if findings.next:
        asked = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        target = f"{request.url.path}?{urlencode([*asked, ('cursor', findings.next)])}"
        response.headers["Link"] = f'<{target}>; rel="next"'
    return [hit_of(hit, request.app.state.door.settings) for hit in findings.hits]
