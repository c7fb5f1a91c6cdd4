"""How times and sizes are written, and how the demo judges a search."""

import pytest

from cli.demo_film import DemoScene
from cli.demo_report import rank_of, shown_in
from cli.follow import progress_of
from cli.output import clock, size

FILM = (DemoScene("coins", "coins", 0.0, 4.0), DemoScene("moon", "the moon", 4.0, 8.0))


def scene(start_s: float, end_s: float) -> dict:
    return {"start_s": start_s, "end_s": end_s}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "-"), (0.0, "0.00 s"), (4.567, "4.57 s"), (-0.2, "-0.20 s"), (65.25, "1:05.2"), (3723.4, "1:02:03.4")],
)
def test_seconds_are_written_as_people_read_them(seconds: float | None, words: str) -> None:
    assert clock(seconds) == words


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (4_000_000, "4.0 MB"), (7_500_000_000_000, "7500.0 GB")],
)
def test_sizes_are_written_as_people_read_them(size_bytes: int, words: str) -> None:
    assert size(size_bytes) == words


def test_a_found_scene_is_named_by_what_it_shows() -> None:
    assert shown_in(scene(0.1, 4.1), FILM) == "coins"
    assert shown_in(scene(0.0, 8.0), FILM) == "coins and moon"
    assert shown_in(scene(9.0, 10.0), FILM) == "-"


def test_the_right_scene_is_the_one_that_shows_most_of_what_was_searched() -> None:
    hits = [scene(3.5, 8.0), scene(0.0, 3.5)]
    assert rank_of(FILM[0], hits) == 2
    assert rank_of(FILM[1], hits) == 1
    assert rank_of(FILM[1], [scene(0.0, 3.5)]) is None
    assert rank_of(FILM[1], []) is None


def test_a_running_stage_says_how_far_it_is_and_how_long_it_takes_still():
    progress = {"percent": 42.4, "fps": 51.2, "speed": 2.04, "eta_s": 75.0}
    assert progress_of({"progress": progress}) == "42 %, 51 fps, 2.0x, 1:15.0 left"
    assert progress_of({"progress": {**progress, "eta_s": None}}) == "42 %, 51 fps, 2.0x"
    assert progress_of({"progress": None}) == progress_of({}) == ""
