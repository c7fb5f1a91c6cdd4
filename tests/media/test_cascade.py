from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.values import CutKind
from media import transnet
from media.cascade import SPAN, asked_spans, find_cascade_cuts
from media.changes import Block, Evidence
from tests.media.test_transnet import in_batches, shot


def test_a_sure_cut_and_a_dissolve_are_found_whatever_the_batches():
    old, new = shot(4, 100).astype(float), shot(5, 100).astype(float)
    share = np.linspace(0, 1, 20)[:, None, None, None]
    film = np.concatenate([shot(1, 90), old[:80], old[80:] * (1 - share) + new[:20] * share, new[20:]]).astype(np.uint8)
    cuts = find_cascade_cuts(in_batches(film, 50))
    assert [cut.kind for cut in cuts] == [CutKind.CUT, CutKind.GRADUAL]
    assert cuts[0].frame == 90
    assert 170 <= cuts[1].frame < 190
    assert find_cascade_cuts(in_batches(film, 77)) == cuts


@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_a_still_video_has_no_cut_however_short_it_is(count):
    assert find_cascade_cuts(in_batches(np.repeat(shot(6, 1), count, axis=0), 16)) == []


def odds(count, cuts=(), graduals=()):
    given = Evidence(np.zeros(count, np.float32), np.zeros(count, np.float32))
    for frame, probability in cuts:
        given.cut[frame] = probability
    for frame, probability in graduals:
        given.gradual[frame] = probability
    return given


def block(count, first=0, end=None):
    return Block(np.zeros((count, 27, 48, 3), np.uint8), first, count if end is None else end)


def test_only_doubts_go_to_the_network():
    assert asked_spans(block(500), odds(500)) == []
    assert asked_spans(block(500), odds(500, cuts=[(100, 0.99)], graduals=[(102, 0.9)])) == []
    spans = asked_spans(block(500), odds(500, cuts=[(100, 0.5)], graduals=[(300, 0.1)]))
    assert spans == [(100 - SPAN, 100 + SPAN), (300 - SPAN, 300 + SPAN)]


def test_what_only_concerns_the_neighbours_of_a_block_is_left_to_them():
    assert asked_spans(block(500, 64, 436), odds(500, cuts=[(20, 0.5), (480, 0.5)])) == []


@settings(deadline=None)
@given(st.lists(st.integers(1, 999), max_size=80))
def test_the_network_sees_a_bounded_number_of_frames_at_once_and_none_twice(doubts):
    spans = asked_spans(block(1000), odds(1000, cuts=[(frame, 0.5) for frame in doubts]))
    assert all(first < end <= first + transnet.KEPT for first, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
