"""Places in a list of hits."""

import datetime as dt
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cursors import Place, name_of, read, written
from service.errors import MalformedRequest, StaleCursor
from service.hits import second_for

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
IDS = [UUID(int=number) for number in range(5)]


def test_a_place_survives_the_trip_through_the_caller_and_fits_one_search_only():
    place = Place(NOW, name_of(1, "a cat"), 2, IDS[1], 100)
    assert read(written(place), name_of(1, "a cat")) == place
    for other in (name_of(1, "a dog"), name_of(2, "a cat")):
        with pytest.raises(StaleCursor):
            read(written(place), other)


@given(st.text(max_size=60))
def test_what_is_no_cursor_is_refused_with_a_sentence(text: str):
    with pytest.raises(MalformedRequest, match="cursor"):
        read(text, "x")


def test_a_moment_without_a_time_zone_is_no_place():
    forged = written(Place(NOW.replace(tzinfo=None), "x", 2, IDS[1], 100))
    with pytest.raises(MalformedRequest, match="cursor"):
        read(forged, "x")


def test_the_next_page_begins_after_the_last_hit_shown_wherever_it_lies_now():
    place = Place(NOW, "x", 2, IDS[1], 100)
    assert place.after(IDS) == 2
    assert place.after([UUID(int=9), *IDS]) == 3
    assert place.after([IDS[0], *IDS[2:]]) == 2


@pytest.mark.parametrize(
    ("start_s", "written_as"),
    [(0, "0"), (1.5, "1.5"), (12.345678, "12.346"), (10.0101, "10.011"), (12345.678, "12345.678"), (0.1, "0.1")],
)
def test_a_second_is_rounded_up_so_that_the_scene_before_is_never_seen(start_s: float, written_as: str):
    assert second_for(start_s) == written_as
