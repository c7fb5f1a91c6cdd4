"""A container's share of the machine, not the machine, decides how much is encoded at a time."""

import os

import pytest

from core.cores import usable_cores

ALLOWED = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100000 100000\n", 1),
        ("50000 100000\n", 1),  # half a core is one
        ("110000 100000\n", min(2, ALLOWED)),  # a little more than one is two
        ("6400000 100000\n", ALLOWED),  # more than there are
        ("max 100000\n", ALLOWED),
        ("", ALLOWED),
        (None, ALLOWED),
    ],
)
def test_the_quota_of_a_container_is_what_there_is(tmp_path, text, expected):
    file = tmp_path / "cpu.max"
    if text is not None:
        file.write_text(text)
    assert usable_cores(file) == expected


def test_only_processors_that_this_process_may_use_count(tmp_path):
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores(tmp_path / "none") == 1
    finally:
        os.sched_setaffinity(0, before)
