import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.values import CutKind
from media.changes import REACH, blocks, evidence
from media.fast_cuts import find_fast_cuts


def shot(seed, count, speed=0.2):
    """A slow pan over a picture of coloured patches: (count, 27, 48, 3)."""
    rng = np.random.default_rng(seed)
    wide = Image.fromarray(rng.integers(0, 255, (6, 12, 3), np.uint8)).resize((192, 108), Image.Resampling.BICUBIC)
    boxes = [(min(speed * index, 72), 0, min(speed * index, 72) + 120, 108) for index in range(count)]
    return np.stack([np.asarray(wide.resize((48, 27), Image.Resampling.BILINEAR, box=box)) for box in boxes])


def cuts_of(film, batch=64):
    return find_fast_cuts(film[start : start + batch] for start in range(0, len(film), batch))


def crossed(old, new, frames, mix):
    """Let the last frames of one shot pass into the first of the next."""
    share = np.linspace(0, 1, frames)[:, None, None, None]
    mixed = mix(old[-frames:].astype(float), new[:frames].astype(float), share)
    return np.concatenate([old[:-frames], mixed, new[frames:]]).astype(np.uint8)


def test_hard_cuts_are_found_on_the_first_frame_of_the_new_shot():
    cuts = cuts_of(np.concatenate([shot(1, 60), shot(2, 60), shot(3, 60)]))
    assert [(cut.frame, cut.kind) for cut in cuts] == [(60, CutKind.CUT), (120, CutKind.CUT)]
    assert all(0.5 < cut.confidence <= 1 for cut in cuts)


@pytest.mark.parametrize(
    "mix",
    [
        pytest.param(lambda old, new, share: old * (1 - share) + new * share, id="dissolve"),
        pytest.param(
            lambda old, new, share: old * np.clip(1 - 2 * share, 0, 1) + new * np.clip(2 * share - 1, 0, 1), id="fade"
        ),
    ],
)
def test_a_transition_is_one_gradual_cut_within_its_frames(mix):
    cuts = cuts_of(crossed(shot(4, 80), shot(5, 80), 16, mix))
    assert [cut.kind for cut in cuts] == [CutKind.GRADUAL]
    assert 64 <= cuts[0].frame <= 80


def test_motion_and_light_are_no_cuts():
    pan = shot(6, 120, speed=2.0)
    lit = pan.astype(float)
    lit[40:42] = lit[40:42] * 1.3 + 110  # a flash
    lit[80:] *= np.linspace(1, 0.5, 40)[:, None, None, None]  # dusk
    assert cuts_of(np.clip(lit, 0, 255).astype(np.uint8)) == []


@pytest.mark.parametrize("count", [0, 1, 2, 12, 30])
def test_a_still_video_has_no_cut_however_short_it_is(count):
    assert cuts_of(np.repeat(shot(7, 1), count, axis=0)) == []


def test_batches_do_not_change_what_is_found():
    film = np.concatenate([shot(seed, 50 + 7 * seed) for seed in range(20)])
    assert len(film) > 1024 + 2 * REACH
    assert cuts_of(film, 33) == cuts_of(film, 256) == cuts_of(film, len(film))


@settings(print_blob=True, deadline=None)
@given(st.integers(0, 300), st.integers(1, 70), st.integers(1, 90), st.integers(0, 40))
def test_every_frame_counts_once_and_has_its_surroundings(count, batch, size, margin):
    film = np.zeros((count, 27, 48, 3), np.uint8)
    film[:, 0, 0, 0], film[:, 0, 0, 1] = np.arange(count) % 256, np.arange(count) // 256
    cut = list(blocks((film[i : i + batch] for i in range(0, count, batch)), margin, size))
    counted = [block.frames[block.first : block.end] for block in cut]
    np.testing.assert_array_equal(np.concatenate([film[:0], *counted]), film)
    passed = 0
    for block in cut:
        assert block.first == min(margin, passed)
        passed += block.end - block.first
        assert len(block.frames) - block.end == min(margin, count - passed)


def test_evidence_depends_on_no_frame_beyond_its_reach():
    film = np.concatenate([shot(8, 60), shot(9, 60)])
    part = evidence(film[40 - REACH : 80 + REACH])
    whole = evidence(film)
    np.testing.assert_allclose(part.cut[REACH:-REACH], whole.cut[40:80], atol=1e-4)
    np.testing.assert_allclose(part.gradual[REACH:-REACH], whole.gradual[40:80], atol=1e-4)


def test_the_fast_detector_loads_no_network():
    code = (
        "import sys, numpy as np\n"
        "from media.shots import DETECTORS\n"
        "DETECTORS['fast'](iter([np.zeros((50, 27, 48, 3), np.uint8)]), 'auto')\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
