from fractions import Fraction

import numpy as np
import pytest

from media.timing import FrameTimes

TICKS = 90_000


def times(*steps: float) -> FrameTimes:
    """Pictures so many seconds apart; the last one lasts as long as the one before it."""
    pts = np.concatenate([[0], np.cumsum(np.round(np.array(steps) * TICKS))]).astype(np.int64)
    return FrameTimes(pts, round(steps[-1] * TICKS) if steps else 1, Fraction(1, TICKS))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([1 / 25] * 50, "25.000"),
        ([1001 / 30000] * 60, "29.970"),
        ([0.033, 0.034, 0.033, 0.033] * 20, "30.078"),  # a clock of milliseconds: the mean is meant
        ([1 / 30] * 30 + [4 / 30] * 30, "30.000"),
        ([1 / 30] * 45 + [3] + [1 / 30] * 45, "30.000"),  # a gap
    ],
)
def test_the_rate_of_a_playlist_is_the_highest(steps, expected):
    assert str(times(*steps).fastest_rate) == expected


def test_a_single_picture_has_a_rate():
    assert times().fastest_rate == TICKS
