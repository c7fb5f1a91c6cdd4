"""What the master playlist promises of bandwidth, held against the definition."""

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from media.hls import Track
from media.timing import Fragment


def track(segments: list[tuple[Fraction, int]]) -> Track:
    """Make a track of (seconds, bytes)."""
    fragments, at, start = [], 100, Fraction(0)
    for length, size in segments:
        fragments.append(Fragment(at, at + size, start, length))
        at, start = at + size, start + length
    return Track("720p", "720p.mp4", tuple(fragments))


def peak_by_definition(made: Track) -> int:
    """Look at every stretch of 0.5 to 1.5 target durations (RFC 8216, 4.1)."""
    peak = made.average_bps
    for first in range(len(made.fragments)):
        for last in range(first + 1, len(made.fragments) + 1):
            length = sum((f.duration_s for f in made.fragments[first:last]), Fraction(0))
            if made.target_s <= 2 * length <= 3 * made.target_s:
                size = sum(f.end - f.start for f in made.fragments[first:last])
                peak = max(peak, math.ceil(size * 8 / length))
    return peak


lengths = st.fractions(min_value=0, max_value=12, max_denominator=3).map(
    lambda length: length.limit_denominator(90_000)
)


@given(st.lists(st.tuples(lengths, st.integers(1, 5_000_000)), min_size=0, max_size=12))
def test_peak_is_that_of_the_busiest_stretch(segments):
    made = track(segments)
    assert made.peak_bps == peak_by_definition(made)


def test_a_long_pause_in_a_long_film_is_counted_as_quickly():
    """Every stretch holds hundreds of segments then: summed one by one this took an hour."""
    segments = [(Fraction(2), 500_000)] * 7_000 + [(Fraction(1_200), 1_000)] + [(Fraction(2), 900_000)] * 1_000
    assert track(segments).peak_bps == 900_000 * 8 // 2
