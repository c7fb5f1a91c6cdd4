"""Embedding spaces over HTTP: how full each is, which one answers searches, and the switch from one to another."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from core.errors import SpaceInUse
from core.settings import Settings
from encoders.catalog import spec_for
from models import Encoder, spaces
from models.session import transaction
from models.space_index import drop_index, ensure_index
from models.spaces import SpaceCoverage
from service.door import DoorOf
from service.switching import objections, untried

router = APIRouter(tags=["encoders"])


class SpaceRequest(BaseModel):
    """Which space."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=500, description="number, name, or name@revision of its encoder")


class ActivateRequest(SpaceRequest):
    """Which space is to answer searches."""

    force: bool = Field(default=False, description="whatever stands against it")


class ActivateAnswer(BaseModel):
    """A switch that was made."""

    active: str
    #: What answered before, and still can; None when it is the same.
    before: str | None
    #: What stood against it, when it was forced.
    objections: list[str]
    #: What could not be tried.
    untried: list[str]


class DropAnswer(BaseModel):
    """A space that is gone."""

    dropped: str
    vectors: int


@router.get("/encoders")
def list_encoders(door: DoorOf) -> list[SpaceCoverage]:
    """Give every embedding space, the oldest first."""
    with door.transaction() as session:
        return spaces.coverage(session)


@router.post("/encoders/activate")
def activate(door: DoorOf, request: ActivateRequest) -> ActivateAnswer:
    """Let a space answer searches, once it is full and answers sensibly; the one before serves until then.

    Raises:
        SpaceInUse: it is not ready, and `force` was not given (permanent).
        NotFound: there is no such space (permanent).
    """
    with door.transaction() as session:
        space = spaces.space_named(session, request.name)
    ensure_index(door.settings.database, space)
    against = objections(door.settings, space)
    if against and not request.force:
        raise SpaceInUse(f"{space.name} was not activated: {' '.join(against)} Searches are answered as before.")
    with door.transaction() as session:
        before = next((each for each in spaces.every_space(session) if each.is_active), None)
        spaces.activate(session, space)
    kept = None if before is None or before.id == space.id else called(before)
    return ActivateAnswer(active=called(space), before=kept, objections=against, untried=untried(door.settings))


@router.post("/encoders/drop")
def drop(door: DoorOf, request: SpaceRequest) -> DropAnswer:
    """Remove a space that does not answer searches, with its vectors and its index.

    Raises:
        SpaceInUse: it answers searches, or new videos would fill it again (permanent).
        NotFound: there is no such space (permanent).
    """
    with door.transaction() as session:
        space = spaces.space_named(session, request.name)
    _require_unused(space, door.settings)
    drop_index(door.settings.database, space)
    with transaction(door.settings.database) as session:
        gone = spaces.remove(session, space)
    return DropAnswer(dropped=called(space), vectors=gone)


def _require_unused(space: Encoder, settings: Settings) -> None:
    if space.is_active:
        raise SpaceInUse(f"{space.name} answers searches: activate another encoder first.")
    if spec_for(settings.encoder) == space.spec:
        raise SpaceInUse(
            f"{space.name} is what DAILIES_ENCODER__NAME names: the next video would make its space again. "
            "Set another encoder first, and restart."
        )


def called(space: Encoder) -> str:
    """Name a space as commands take it."""
    return f"{space.name}@{space.revision}"
