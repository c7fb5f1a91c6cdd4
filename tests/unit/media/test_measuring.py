"""Which times of packets are damaged, by their neighbours alone."""

from fractions import Fraction

import pytest

from core.errors import InvalidMedia
from core.settings import LimitSettings
from media.measuring import LEAP_S, promised_times, with_leaps
from media.probe import Packet

FAR = 1000


def wild(times: list[int | None], container: str = "mpegts") -> list[int]:
    """Give the places of the times that are called wild."""
    packets = [Packet("video", 0, None if t is None else Fraction(t), None) for t in times]
    judged = list(with_leaps(packets, container))
    assert [packet for packet, _ in judged] == packets
    return [place for place, (_, is_wild) in enumerate(judged) if is_wild]


@pytest.mark.parametrize(
    ("times", "places"),
    [
        ([], []),
        ([5], []),
        ([0, 2, 1, 3], []),
        ([0, 1, FAR, 3, 4], [2]),
        ([FAR, 1, 2], [0]),
        ([0, FAR, 2, FAR, 4], [1, 3]),
        ([0, 1, LEAP_S + 1, 2], []),
    ],
)
def test_a_time_far_beyond_both_neighbours_is_wild(times, places):
    assert wild(times, "mov") == places


def test_a_long_pause_and_a_clock_that_starts_again_are_not_wild():
    assert wild([0, 1, FAR, FAR + 1]) == []
    assert wild([FAR, FAR + 1, 0, 1]) == []


def test_a_last_time_far_behind_all_is_wild_where_clocks_may_break():
    assert wild([0, 1, FAR], "mpegts") == [2]
    assert wild([0, 1, FAR], "mov") == []


def test_a_first_time_hours_before_all_is_wild_where_clocks_may_wrap():
    assert wild([0, 20_000, 20_001], "mpegts") == [0]
    assert wild([0, 20_000, 20_001], "mov") == []
    assert wild([0, 15, 16], "mpegts") == []


def test_unknown_times_make_no_other_wild():
    assert wild([None, FAR, None, 1, None]) == []


@pytest.mark.parametrize("step", [1, 0], ids=["in order", "all at one time"])
def test_packets_are_read_no_further_than_a_video_may_have_pictures(step):
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield Packet("video", 0, Fraction(step * read, 1_000_000), None)

    with pytest.raises(InvalidMedia) as refused:
        promised_times(endless(), LimitSettings(max_frames=100))
    assert (refused.value.reason, read) == ("too_many_frames", 201)


def test_promised_times_are_ascending_and_each_told_once():
    packets = (Packet("video", 0, t, None) for t in (Fraction(2), None, Fraction(1), Fraction(2)))
    assert promised_times(packets, LimitSettings()) == [1, 2]
