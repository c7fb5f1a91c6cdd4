"""A few mutants on every run; `python -m tests.hostile` makes thousands."""

import pytest

from core.settings import LimitSettings, MediaSettings
from media.tools import find_tools
from tests.hostile import mutants
from tests.hostile.mutate import mutate
from tests.hostile.seeds import RECIPES, make_seeds

SEED = 20
SHORT = ("h264.mp4", "h264_fragmented.mp4", "mjpeg.mov", "h264.mkv", "vp8.webm", "h264.ts", "mpeg4.avi", "wmv2.wmv")


def run(tmp_path, names: tuple[str, ...], number: int) -> mutants.Tally:
    tools = find_tools(MediaSettings(threads=2))
    seeds = make_seeds(tools, tmp_path, names)
    return mutants.run(seeds, tools, LimitSettings(), number=number, seed=SEED, folder=tmp_path)


def test_a_few_mutants_end_properly_and_no_good_one_is_rejected(tmp_path):
    tally = run(tmp_path, SHORT, 30)
    assert not tally.broken, tally.table()
    assert sum(tally.verdicts.values()) == 30


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_many_mutants_end_properly_and_no_good_one_is_rejected(tmp_path):
    tally = run(tmp_path, tuple(RECIPES), 500)
    assert not tally.broken, tally.table()


def test_the_same_seed_makes_the_same_mutants():
    seeds = {"a.mp4": b"\0\0\0\x10ftypisom" + bytes(200), "b.mkv": b"\x1a\x45\xdf\xa3" + bytes(200)}
    assert list(mutants.mutants(seeds, 40, 5)) == list(mutants.mutants(seeds, 40, 5))
    assert list(mutants.mutants(seeds, 40, 5)) != list(mutants.mutants(seeds, 40, 6))


def test_a_mutant_is_never_its_seed():
    import random

    content = b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x08free" * 9
    assert all(mutate(content, random.Random(n))[1] != content for n in range(200))
