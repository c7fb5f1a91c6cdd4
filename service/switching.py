"""What stands against letting an embedding space answer searches: gaps, a half-made index, an encoder that is wrong."""

import json
from pathlib import Path
from typing import Final
from uuid import UUID

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from core.errors import EncoderUnhealthy, MissingDependency
from core.settings import EncoderSettings, Settings
from encoders.catalog import settings_for
from models import Encoder, spaces
from models.nearest import nearest
from models.session import transaction
from models.space_index import index_state
from models.states import IndexState

#: Stored vectors that are looked at.
SAMPLE: Final = 256


class GoldenQuery(BaseModel):
    """A query whose answer is known; an encoder that does not give it is not activated."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1)
    video_id: UUID
    #: The video is among the first so many hits.
    within: int = Field(10, ge=1, le=200)


def objections(settings: Settings, space: Encoder) -> list[str]:
    """Say in sentences what stands against a space; nothing when it is ready."""
    with transaction(settings.database) as session:
        held, index = spaces.held(session, space), index_state(session, space)
        sample = spaces.some_vectors(session, space, SAMPLE)
    found = []
    if not held.is_full:
        found.append(f"It holds {held.embedded} of {held.scenes} scenes.")
    if index is not IndexState.READY:
        found.append(f"Its index is {index}.")
    return found + _of_encoder(settings, space, sample)


def untried(settings: Settings) -> list[str]:
    """Say in sentences what could not be held against any space, as nothing to hold against it is configured."""
    if settings.encoder.golden is not None:
        return []
    return ["Whether it finds what it should was not tried: DAILIES_ENCODER__GOLDEN names no golden queries."]


def _of_encoder(settings: Settings, space: Encoder, sample: list[list[float]]) -> list[str]:
    """Hold its vectors and its answers to known queries against what is expected."""
    from encoders import health
    from encoders.load import load

    try:
        how = settings_for(space.spec, space.source, settings.encoder)
        load(how, space.spec)  # its own canaries are part of loading
        rows = np.array(sample, np.float32).reshape(len(sample), space.dim)
        health.check_stored(space.spec, rows)
    except (MissingDependency, EncoderUnhealthy) as error:
        return [str(error)]
    return _of_answers(settings, space, how)


def _of_answers(settings: Settings, space: Encoder, how: EncoderSettings) -> list[str]:
    from encoders.load import load

    if settings.encoder.golden is None:
        return []
    try:
        golden = read_golden(settings.encoder.golden)
    except (OSError, ValueError) as error:
        return [f"The golden queries cannot be read: {error}."]
    vectors = load(how, space.spec).encode_texts([each.query for each in golden])
    found = []
    with transaction(settings.database) as session:
        for each, vector in zip(golden, vectors.tolist(), strict=True):
            hits = nearest(session, space, vector, owner_id=settings.owner_id, limit=each.within)
            if each.video_id not in {hit.video_id for hit in hits}:
                found.append(f'"{each.query}" does not find video {each.video_id} among the first {each.within}.')
    return found


def read_golden(path: Path) -> list[GoldenQuery]:
    """Read golden queries: a JSON list of {"query", "video_id", "within"}.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is something else.
    """
    try:
        return TypeAdapter(list[GoldenQuery]).validate_python(json.loads(path.read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
