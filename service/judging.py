"""Is a hit likely to be what was asked for? Nearest is not the same as right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from core.settings import EncoderSettings
from service.ranking import Distinct


class Sort(StrEnum):
    """What was asked with."""

    TEXT = "text"
    PICTURE = "picture"
    #: Another scene: its vector is there, so no network is loaded, and without one nothing is measured.
    SCENE = "scene"


@dataclass(frozen=True)
class Judgement:
    """What a hit is worth; None where it was not measured."""

    #: 0 to 1.
    confidence: float | None
    is_good_match: bool | None


def judge(
    settings: EncoderSettings,
    sort: Sort,
    asked: Sequence[float],
    found: Sequence[Distinct],
    vectors: Mapping[UUID, NDArray[np.float32]],
) -> list[Judgement]:
    """Judge hits, in their order, by their vectors.

    A video whose title or description says every word is a good match whatever its scenes look like.

    Raises:
        MissingDependency, EncoderUnhealthy: permanent. AcceleratorBusy: transient.
    """
    said = [each.candidate.words_rank is not None for each in found]
    if sort is Sort.SCENE or not found:
        return [Judgement(None, None) for _ in found]
    from encoders.confidence import MATCH
    from encoders.load import yardstick

    measure = yardstick(settings)
    query = np.asarray(asked, np.float32)
    rows = np.stack([vectors[each.candidate.scene.scene_id] for each in found])
    confidences = measure.of_text(query, rows) if sort is Sort.TEXT else measure.of_picture(query, rows)
    return [
        Judgement(round(float(confidence), 3), bool(confidence >= MATCH) or says)
        for confidence, says in zip(confidences, said, strict=True)
    ]
