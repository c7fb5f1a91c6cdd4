"""Fit the weights of the quick look on development compositions only; prints what to write down.

`python -m benchmarks.shots_fit [--boundaries N] [--seeds 101 102]`: neither the unseen half nor real footage with
known cuts is looked at. The weights stand in media/changes.py.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.shots_film import Boundary, compose, sample_folder
from core.settings import MediaSettings
from media.changes import measures
from media.cuts import HEIGHT, WIDTH
from media.frames import Frames, all_frames
from media.tools import find_tools

#: Frames around a boundary that are neither an example of one nor of none.
UNCLEAR = 12
TOLERANCE = 2

Rows = tuple[NDArray[np.float64], NDArray[np.bool_]]


def quick_rows(frames: Frames, truth: Sequence[Boundary]) -> tuple[Rows, Rows]:
    """Give examples for cuts and for gradual transitions: measures, and whether they are of one."""
    cut, gradual = measures(frames)
    is_cut, is_gradual = np.zeros(len(frames), bool), np.zeros(len(frames), bool)
    unclear_cut, unclear_gradual = np.zeros(len(frames), bool), np.zeros(len(frames), bool)
    for boundary in truth:
        unclear_cut[max(0, boundary.first - TOLERANCE) : boundary.last + TOLERANCE + 1] = True
        unclear_gradual[max(0, boundary.first - UNCLEAR) : boundary.last + UNCLEAR + 1] = True
        if boundary.is_cut:
            is_cut[boundary.first] = True
        else:
            middle, third = (boundary.first + boundary.last) // 2, max(1, (boundary.last - boundary.first) // 6)
            is_gradual[middle - third + 1 : middle + third + 1] = True
    wanted_cut, wanted_gradual = ~unclear_cut | is_cut, ~unclear_gradual | is_gradual
    return (cut[wanted_cut], is_cut[wanted_cut]), (gradual[wanted_gradual], is_gradual[wanted_gradual])


def fitted(rows: Sequence[Rows]) -> list[float]:
    """Fit a logistic regression; the last number is the constant."""
    from sklearn.linear_model import LogisticRegression

    model: Any = LogisticRegression(C=10, max_iter=5000)
    model.fit(np.concatenate([x for x, _ in rows]), np.concatenate([y for _, y in rows]))
    return [round(float(w), 2) for w in (*model.coef_[0], model.intercept_[0])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boundaries", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102])
    wanted = parser.parse_args()
    tools, samples = find_tools(MediaSettings()), sample_folder()
    quick: list[tuple[Rows, Rows]] = []
    for seed in wanted.seeds:
        with tempfile.TemporaryDirectory() as scratch:
            film = Path(scratch) / "film.mp4"
            truth = compose(film, wanted.boundaries, seed, "development", samples, tools)
            frames = np.concatenate(list(all_frames(film, WIDTH, HEIGHT, tools)))
        quick.append(quick_rows(frames, truth))
    print(f"CUT_WEIGHTS = {fitted([cut for cut, _ in quick])}")
    print(f"GRADUAL_WEIGHTS = {fitted([gradual for _, gradual in quick])}")


if __name__ == "__main__":
    main()
