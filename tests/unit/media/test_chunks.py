import json
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.settings import MediaSettings
from core.values import MediaFacts
from media.chunks import chunks_for


def facts(duration_s: float, *, is_cuttable: bool = True, long_gops: Sequence[tuple[int, int]] = ()) -> MediaFacts:
    return MediaFacts(
        container="mov",
        duration_s=str(round(duration_s, 6)),
        width=640,
        height=360,
        frame_rate=Fraction(25),
        video_codec="h264",
        is_cuttable=is_cuttable,
        long_gops=long_gops,
    )


@pytest.mark.parametrize(
    ("duration", "expected"), [(5, 1), (120, 1), (120.04, 2), (122.5, 3), (180, 3), (480, 8), (10_800, 180)]
)
def test_up_to_two_chunks_a_source_stays_whole(duration, expected):
    assert len(chunks_for(facts(duration), MediaSettings())) == expected


def test_a_source_without_a_steady_clock_stays_whole():
    assert len(chunks_for(facts(10_000, is_cuttable=False), MediaSettings())) == 1


def test_a_source_with_one_keyframe_stays_whole():
    assert len(chunks_for(facts(14_400, long_gops=[(0, 14_400)]), MediaSettings())) == 1


def test_where_keyframes_are_minutes_apart_chunks_begin_behind_them():
    every_four_minutes = [(at, at + 240) for at in range(0, 1200, 240)]
    chunks = chunks_for(facts(1200, long_gops=every_four_minutes), MediaSettings())
    # Not at the keyframe: demuxers that are asked for the one before a time are asked for a second before it.
    assert [chunk.start_s for chunk in chunks] == [0, 242, 482, 722, 962]


def test_a_few_long_gops_change_no_chunk_but_those_that_would_begin_in_them():
    chunks = chunks_for(facts(480, long_gops=[(90, 170)]), MediaSettings())
    assert [chunk.start_s for chunk in chunks] == [0, 60, 172, 232, 292, 352, 412, 472]


@pytest.mark.parametrize("gop_s", [2, 5, 10, 12])
def test_gops_of_seconds_change_no_chunk(gop_s):
    ordinary = [(at, at + gop_s) for at in range(0, 480, gop_s)]
    assert chunks_for(facts(480, long_gops=ordinary), MediaSettings()) == chunks_for(facts(480), MediaSettings())


def test_facts_of_an_older_release_are_cut_as_before():
    old = json.loads(facts(480, long_gops=[(0, 480)]).model_dump_json(exclude={"long_gops"}))
    assert len(chunks_for(MediaFacts.model_validate(old), MediaSettings())) == 8


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(1, 10), st.integers(2, 120))
def test_what_is_decoded_twice_is_less_than_a_fifth(gops, segment, length):
    keyframes = [0, *accumulate(gops)]
    chunks = chunks_for(
        facts(keyframes[-1], long_gops=list(pairwise(keyframes))), MediaSettings(segment_s=segment, chunk_s=length)
    )
    begins = [chunk.start_s for chunk in chunks[1:]]
    twice = sum(begin - max(key for key in keyframes if key <= begin - 1) for begin in begins)
    assert twice * 5 <= keyframes[-1]


@settings(deadline=None)  # a busy machine is no fault of the plan
@given(
    st.floats(0.001, 20_000),
    st.integers(1, 10),
    st.integers(2, 300),
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 20_000)), max_size=5),
)
def test_chunks_are_half_open_without_gap_and_begin_on_segments(duration, segment, length, long_gops):
    known = facts(duration, long_gops=sorted(long_gops))
    chunks = chunks_for(known, MediaSettings(segment_s=segment, chunk_s=length))
    assert chunks[0].start_s == 0
    assert chunks[-1].end_s is None
    assert all(a.end_s == b.start_s for a, b in pairwise(chunks))
    assert all(chunk.start_s % segment == 0 for chunk in chunks)
    assert all(chunk.start_s < Decimal(str(round(duration, 6))) for chunk in chunks[1:])
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
