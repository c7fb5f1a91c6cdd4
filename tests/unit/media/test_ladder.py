from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.settings import MediaSettings
from core.values import MediaFacts
from media.ladder import proxy_size, rungs_for


def facts(*, width: int, height: int, rate: int = 25) -> MediaFacts:
    return MediaFacts(
        container="mov", duration_s="1", width=width, height=height, frame_rate=Fraction(rate), video_codec="h264"
    )


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (1920, 1080, {"1080p": (1920, 1080), "720p": (1280, 720), "360p": (640, 360)}),
        (3840, 2160, {"1080p": (1920, 1080), "720p": (1280, 720), "360p": (640, 360)}),
        (1080, 1920, {"1080p": (1080, 1920), "720p": (720, 1280), "360p": (360, 640)}),
        (1280, 720, {"720p": (1280, 720), "360p": (640, 360)}),
        (853, 479, {"360p": (640, 360)}),
        (480, 270, {"270p": (480, 270)}),
        (321, 241, {"240p": (320, 240)}),
        (1, 1, {"2p": (2, 2)}),
    ],
)
def test_a_source_gets_the_rungs_it_fills(width, height, expected):
    rungs = rungs_for(facts(width=width, height=height), MediaSettings())
    assert {rung.name: (rung.width, rung.height) for rung in rungs} == expected


@given(st.integers(2, 5000), st.integers(2, 5000))
def test_no_rung_is_larger_than_the_source_and_all_are_even(width, height):
    source = facts(width=width, height=height)
    rungs = rungs_for(source, MediaSettings())
    sizes = [(rung.width, rung.height) for rung in rungs] + [proxy_size(source, 224)]
    assert all(w <= width and h <= height and w % 2 == 0 and h % 2 == 0 and w * h > 0 for w, h in sizes)
    assert len({rung.name for rung in rungs}) == len(rungs)


def test_smaller_pictures_get_a_lower_ceiling_and_faster_ones_a_higher():
    slow = rungs_for(facts(width=1920, height=1080), MediaSettings())
    fast = rungs_for(facts(width=1920, height=1080, rate=60), MediaSettings())
    assert [r.max_bitrate_kbps for r in slow] == sorted((r.max_bitrate_kbps for r in slow), reverse=True)
    assert all(a.max_bitrate_kbps < b.max_bitrate_kbps for a, b in zip(slow, fast, strict=True))


def test_two_odd_steps_that_meet_are_one_rung():
    rungs = rungs_for(facts(width=1280, height=720), MediaSettings(ladder=(361, 360)))
    assert [rung.name for rung in rungs] == ["360p"]
