"""How hits are put in order and thinned out; pure.

Two rankings become one by reciprocal rank fusion: a hit's score is the sum of 1 / (60 + its rank) over the rankings
that hold it (Cormack, Clarke & Büttcher, SIGIR 2009, "Reciprocal Rank Fusion outperforms Condorcet and individual
Rank Learning Methods", section 2; 60 is the paper's constant). Ranks compare where scores do not: a cosine
similarity and a full-text rank have no common scale.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from models.nearest import SceneHit

RRF_K: Final = 60
#: Cosine similarity from which on two scenes are told as one: copies of the same footage and the parts of an unmoving
#: take lie above (0.9996 and more measured); a copy that was squeezed hard may lie below and stays a hit of its own.
SAME_FROM: Final = 0.99


@dataclass(frozen=True)
class Candidate:
    """A scene that may answer, and why; ranks count from 1."""

    scene: SceneHit
    #: Place among the scenes that look most like it; None when others do.
    visual_rank: int | None = None
    #: Place of its video among those whose title or description says the words.
    words_rank: int | None = None
    #: Those words, as they are written there.
    words: tuple[str, ...] = ()

    @property
    def fused(self) -> float:
        """Reciprocal rank fusion of both places."""
        return sum(1 / (RRF_K + rank) for rank in (self.visual_rank, self.words_rank) if rank is not None)


@dataclass
class Distinct:
    """A candidate, and the scenes that look the same and are told with it."""

    candidate: Candidate
    same: list[SceneHit] = field(default_factory=list)


def fuse(
    visual: Sequence[SceneHit], said: Iterable[tuple[tuple[str, ...], Sequence[SceneHit]]], *, together: int
) -> list[Candidate]:
    """Put two rankings into one order, best first.

    Args:
        visual: scenes by what they show, best first.
        said: videos by what is said of them, best first: the words, and those of its scenes that stand for it.
        together: places by picture that count for a scene which words found, too. While `said` is no longer than that,
            all of it comes before the scenes further down: more of `visual` only adds to the end.
    """
    found = {scene.scene_id: Candidate(scene, visual_rank=rank) for rank, scene in enumerate(visual, 1)}
    high = {scene.scene_id: rank for rank, scene in enumerate(visual[:together], 1)}
    for rank, (words, scenes) in enumerate(said, 1):
        for scene in scenes:
            found[scene.scene_id] = Candidate(scene, high.get(scene.scene_id), rank, words)
    return sorted(found.values(), key=lambda each: (-each.fused, -each.scene.score, each.scene.scene_id))


def collapse(candidates: Sequence[Candidate], vectors: Mapping[UUID, NDArray[np.float32]]) -> list[Distinct]:
    """Tell scenes that look the same once: the best placed one stays, the others are named with it.

    Args:
        vectors: unit rows; a scene without one stays by itself.
    """
    kept: list[Distinct] = []
    #: Those with a vector, and their vectors as the first rows of one array.
    owners: list[Distinct] = []
    dim = len(next(iter(vectors.values()), ()))
    rows = np.empty((len(candidates), dim), np.float32)
    for candidate in candidates:
        vector = vectors.get(candidate.scene.scene_id)
        if vector is not None and owners:
            alike = rows[: len(owners)] @ vector
            best = int(np.argmax(alike))
            if alike[best] >= SAME_FROM:
                owners[best].same.append(candidate.scene)
                continue
        distinct = Distinct(candidate)
        kept.append(distinct)
        if vector is not None:
            rows[len(owners)] = vector
            owners.append(distinct)
    return kept
