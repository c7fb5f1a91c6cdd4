from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.settings import MediaSettings
from core.values import MediaFacts
from media.chunks import chunks_for


def facts(duration_s: float, *, is_cuttable: bool = True) -> MediaFacts:
    return MediaFacts(
        container="mov",
        duration_s=str(round(duration_s, 6)),
        width=640,
        height=360,
        frame_rate=Fraction(25),
        video_codec="h264",
        is_cuttable=is_cuttable,
    )


@pytest.mark.parametrize(
    ("duration", "expected"), [(5, 1), (120, 1), (120.04, 2), (122.5, 3), (180, 3), (480, 8), (10_800, 180)]
)
def test_up_to_two_chunks_a_source_stays_whole(duration, expected):
    assert len(chunks_for(facts(duration), MediaSettings())) == expected


def test_a_source_without_a_steady_clock_stays_whole():
    assert len(chunks_for(facts(10_000, is_cuttable=False), MediaSettings())) == 1


@settings(deadline=None)  # a busy machine is no fault of the plan
@given(st.floats(0.001, 20_000), st.integers(1, 10), st.integers(2, 300))
def test_chunks_are_half_open_without_gap_and_begin_on_segments(duration, segment, length):
    chunks = chunks_for(facts(duration), MediaSettings(segment_s=segment, chunk_s=length))
    assert chunks[0].start_s == 0
    assert chunks[-1].end_s is None
    assert all(a.end_s == b.start_s for a, b in pairwise(chunks))
    assert all(chunk.start_s % segment == 0 for chunk in chunks)
    assert all(chunk.start_s < Decimal(str(round(duration, 6))) for chunk in chunks[1:])
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
