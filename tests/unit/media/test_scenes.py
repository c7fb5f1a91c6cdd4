from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.values import CutKind, Shot
from media.cuts import Cut
from media.scenes import scenes_from
from media.shots import shots_from_cuts
from media.timing import FrameTimes


def shots(*starts: float, end: float) -> list[Shot]:
    bounds = [Decimal(str(s)) for s in (*starts, end)]
    return [Shot(start_s=a, end_s=b, kind=CutKind.CUT) for a, b in pairwise(bounds)]


def bounds(scenes) -> list[tuple[float, float]]:
    return [(float(s.start_s), float(s.end_s)) for s in scenes]


def test_a_video_without_a_cut_is_one_scene():
    assert bounds(scenes_from(shots(0, end=5), Decimal(5), 1, 60)) == [(0, 5)]


def test_a_long_static_shot_is_split_evenly():
    assert bounds(scenes_from(shots(0, end=150), Decimal(150), 1, 60)) == [(0, 50), (50, 100), (100, 150)]


def test_a_short_shot_joins_the_one_before_it():
    assert bounds(scenes_from(shots(0, 4, 4.5, end=9), Decimal(9), 1, 60)) == [(0, 4.5), (4.5, 9)]


def test_a_short_first_shot_joins_the_one_after_it():
    assert bounds(scenes_from(shots(0, 0.5, end=9), Decimal(9), 1, 60)) == [(0, 9)]


def test_a_short_last_shot_joins_the_one_before_it():
    assert bounds(scenes_from(shots(0, 4, 8.5, end=9), Decimal(9), 1, 60)) == [(0, 4), (4, 9)]


def test_a_shot_that_looks_like_the_one_before_joins_it():
    found = shots(0, 4, 9, 15, end=20)
    assert bounds(scenes_from(found, Decimal(20), 1, 60, continued={Decimal(9)})) == [(0, 4), (4, 15), (15, 20)]


def test_alike_shots_do_not_make_a_scene_longer_than_the_maximum():
    found = shots(0, 25, 50, 75, end=100)
    continued = {Decimal(25), Decimal(50), Decimal(75)}
    assert bounds(scenes_from(found, Decimal(100), 1, 60, continued=continued)) == [(0, 50), (50, 100)]


@settings(print_blob=True)
@given(
    st.integers(1, 20_000_000_000),
    st.lists(st.tuples(st.integers(0, 20_000_000_000), st.booleans()), max_size=60),
    st.floats(0, 20),
    st.floats(0.1, 600),
)
def test_scenes_cover_the_video_without_gap_or_overlap(duration, cuts, least, most):
    end = Decimal(duration) / 1_000_000
    starts = sorted({Decimal(0), *(Decimal(c) / 1_000_000 for c, _ in cuts if c < duration)})
    continued = {Decimal(c) / 1_000_000 for c, is_continued in cuts if is_continued}
    found = [Shot(start_s=a, end_s=b, kind=CutKind.CUT) for a, b in pairwise([*starts, end])]
    # A scene a millisecond long is no use and would make millions of them here.
    scenes = scenes_from(found, end, least, max(most, float(end) / 1000), continued=continued)
    assert scenes[0].start_s == 0
    assert scenes[-1].end_s == end
    assert all(a.end_s == b.start_s for a, b in pairwise(scenes))
    assert all(s.start_s < s.end_s for s in scenes)
    assert [s.index for s in scenes] == list(range(len(scenes)))
    assert all(float(s.end_s - s.start_s) <= max(most, float(end) / 1000) + 1e-5 for s in scenes)


def test_shots_begin_at_the_exact_time_of_their_first_frame():
    times = FrameTimes(np.array([0, 3003, 6006, 20000]), 3003, Fraction(1, 90000))
    found = shots_from_cuts([Cut(2, CutKind.CUT, 0.7)], times)
    assert [(s.start_s, s.end_s, s.kind) for s in found] == [
        (Decimal(0), Decimal("0.066733"), CutKind.START),
        (Decimal("0.066733"), Decimal("0.255589"), CutKind.CUT),
    ]


def test_cuts_that_say_nothing_new_are_passed_over():
    times = FrameTimes(np.arange(5) * 10, 10, Fraction(1, 100))
    found = shots_from_cuts([Cut(n, CutKind.CUT, 1) for n in (0, 2, 2, 9)], times)
    assert [float(s.start_s) for s in found] == [0, 0.2]
