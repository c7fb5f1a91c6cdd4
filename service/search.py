"""Search: scenes nearest to a text, in the space of the active encoder."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import StringConstraints

from core.settings import EncoderSettings
from encoders.catalog import spec_for
from models import Encoder
from models.nearest import nearest
from models.reading import active_encoder
from service.documents import SceneHitDocument
from service.door import DoorOf
from service.errors import OtherEncoder

router = APIRouter(tags=["search"])

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1_000)]


@router.get("/search")
def search(door: DoorOf, q: Text, limit: Annotated[int, Query(ge=1, le=200)] = 10) -> list[SceneHitDocument]:
    """Find the scenes that look most like what a text says, best first."""
    with door.transaction() as session:
        encoder = active_encoder(session)
    if encoder is None:
        return []
    require_same_space(encoder, door.settings.encoder)
    vector = text_vector(door.settings.encoder, q)
    with door.transaction() as session:
        hits = nearest(session, encoder, vector, owner_id=door.settings.owner_id, limit=limit)
    return [SceneHitDocument.model_validate(hit, from_attributes=True) for hit in hits]


def require_same_space(active: Encoder, settings: EncoderSettings) -> None:
    """Check that the encoder we would ask gives vectors of the active space: spaces are never mixed.

    Raises:
        OtherEncoder: permanent.
    """
    ours = spec_for(settings)
    theirs = (active.name, active.revision, active.dim, active.preprocess)
    if theirs != (ours.name, ours.revision, ours.dim, ours.preprocess):
        raise OtherEncoder(
            f"Searches are answered by encoder {active.name} {active.revision}, but this service is configured for "
            f"{ours.name} {ours.revision}: set DAILIES_ENCODER__NAME and DAILIES_ENCODER__REVISION to the active one, "
            "or fill and activate the new one."
        )


def text_vector(settings: EncoderSettings, text: str) -> Sequence[float]:
    """Give a text's unit vector; the encoder is loaded when it is first asked for, and then kept.

    Raises:
        MissingDependency, EncoderUnhealthy: permanent. AcceleratorBusy: transient.
    """
    # Imported here: a service that is never asked for a scene never loads a network.
    from encoders.load import load

    vector: list[float] = load(settings).encode_texts([text])[0].tolist()
    return vector
