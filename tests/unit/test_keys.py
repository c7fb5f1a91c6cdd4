"""Keys are computed and parsed; no name from outside can leave its place."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.stages import Stage
from storage import keys

VIDEO = UUID("0d2f6f9c-5c8e-4c55-9c2b-111111111111")


@given(st.text(max_size=400))
def test_any_file_name_makes_a_plain_key_that_is_recognised_again(name: str):
    key = keys.upload(VIDEO, name)
    assert keys.announced_video(key) == VIDEO
    assert key.isascii()
    assert len(key) < 200
    assert ".." not in key.split("/")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Holiday 2026.mp4", "Holiday_2026.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\été.mov", "ete.mov"),
        ("", "video"),
    ],
)
def test_a_file_name_keeps_what_is_safe(name: str, expected: str):
    assert keys.safe_name(name) == expected


@pytest.mark.parametrize(
    "key", ["a.mp4", "videos/a.mp4", f"videos/{VIDEO}/", f"videos/{VIDEO}/a/b.mp4", f"x/videos/{VIDEO}/a.mp4"]
)
def test_a_key_not_made_by_us_announces_nothing(key: str):
    assert keys.announced_video(key) is None


def test_attempts_never_write_over_one_another():
    first, second = (keys.derived(VIDEO, Stage.SHOTS, "fp", attempt, "a.json") for attempt in (1, 2))
    assert first != second
    assert {first.split("/")[:3] == second.split("/")[:3]} == {True}
    assert keys.manifest(VIDEO, Stage.SHOTS, "fp").startswith(keys.stage_folder(VIDEO, Stage.SHOTS, "fp"))
