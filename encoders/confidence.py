"""How sure a hit is: nearest is not the same as right, and a search for what is not there must be able to say so.

A cosine says nothing by itself: each space, each text and each picture has its own level. So a hit is held
against background texts, the names of a thousand things, in the same space:

- `reach` (the bundled encoder): its picture vectors are mixtures of the background's own, so the texts of the
  background that are most like the query tell what a picture of the very thing would score. A hit's measure is
  the share of that which it reaches.
- `margin` (CLIP and its like, where texts and pictures lie apart): how many standard deviations the query
  stands above the background texts in the hit's own eyes, as in zero-shot classification.

A logistic curve turns the measure into 0 to 1 with one half at the cut-off, `MATCH`, in every space.
benchmarks/confidence.py prints what other cut-offs would keep and refuse. No torch here.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from encoders.protocol import Vectors

#: A hit is "a good match" from this confidence on, in every space.
MATCH: Final = 0.5
#: Background texts most like the query whose mean stands for the best score possible.
NEAREST: Final = 5
#: Least length that counts as a direction.
_TINY: Final = 1e-6


@dataclass(frozen=True)
class Curve:
    """A logistic curve.

    Attributes:
        cut: the measure that is worth one half.
        steepness: growth of the log-odds per unit of the measure.
    """

    cut: float
    steepness: float

    def at(self, measure: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give 0 to 1; half at the cut."""
        odds: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(self.steepness * (measure - self.cut), -50, 50)))
        return odds


@dataclass(frozen=True)
class Yardstick:
    """What the hits of one space are measured with; made once per encoder, see encoders.load.yardstick.

    Attributes:
        texts: (n, dim) unit rows, the background texts.
        centre: (dim,) mean of unlike pictures: what every picture vector of the space has in common.
        measure: how a text's hits are measured.
        text_curve, picture_curve: from the measure to the confidence, for either sort of query.
    """

    texts: Vectors
    centre: NDArray[np.float64]
    measure: Literal["reach", "margin"]
    text_curve: Curve
    picture_curve: Curve

    def of_text(self, query: NDArray[np.float32], hits: Vectors) -> NDArray[np.float64]:
        """Give the confidence of each hit of a text.

        Args:
            query: (dim,) the text's unit vector.
            hits: (k, dim) the unit vectors of the scenes found; k may be 0.
        Returns:
            (k,) 0 to 1, in the order of the hits; from `MATCH` on it is a good match.
        """
        scores = hits.astype(np.float64) @ query
        if self.measure == "reach":
            alike = np.sort(self.texts @ query)[-NEAREST:].mean()
            return self.text_curve.at(scores / max(float(alike), _TINY))
        others = hits.astype(np.float64) @ self.texts.T
        spread = np.maximum(others.std(axis=1), _TINY)
        return self.text_curve.at((scores - others.mean(axis=1)) / spread)

    def of_picture(self, query: NDArray[np.float32], hits: Vectors) -> NDArray[np.float64]:
        """Give the confidence that each hit shows what the query's picture shows; see `of_text`."""
        wanted, found = query.astype(np.float64) - self.centre, hits.astype(np.float64) - self.centre
        lengths = np.maximum(np.linalg.norm(found, axis=1) * np.linalg.norm(wanted), _TINY)
        return self.picture_curve.at(found @ wanted / lengths)
