import subprocess
import sys

import numpy as np
import pytest

from core.settings import EncoderSettings
from encoders.confidence import MATCH, Curve, Yardstick
from encoders.load import load, yardstick

SHARP = Curve(cut=0.6, steepness=20.0)


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_a_curve_is_worth_one_half_at_its_cut_and_never_overflows():
    assert Curve(cut=3, steepness=2).at(np.array([3.0])) == MATCH
    low, high = Curve(cut=0, steepness=1e6).at(np.array([-1e6, 1e6]))
    assert (low, high) == (pytest.approx(0, abs=1e-9), pytest.approx(1))


def test_what_reaches_the_score_of_the_thing_itself_is_a_match_and_half_of_it_is_none():
    texts = np.eye(20, dtype=np.float32)
    reach = Yardstick(unit(np.tile(texts, (5, 1))), np.zeros(20), "reach", SHARP, SHARP)
    query = texts[3]
    sure, unsure = reach.of_text(query, unit([[0.1] * 3 + [1.0] + [0.1] * 16, [1.0] * 3 + [0.9] + [0.0] * 16]))
    assert sure > MATCH > unsure


def test_an_equal_score_counts_for_less_in_the_eyes_of_a_picture_that_likes_every_text():
    rng = np.random.default_rng(1)
    texts = unit(np.abs(rng.normal(size=(200, 32))))
    query = unit(np.eye(32)[0])
    hub, picky = unit(np.ones(32)), unit(query - 0.4 * texts.mean(axis=0))
    margin = Yardstick(texts, np.zeros(32), "margin", Curve(cut=2.7, steepness=3), SHARP)
    both = margin.of_text(query, np.stack([hub, picky]))
    assert both[1] > MATCH > both[0]


def test_what_all_pictures_of_a_space_have_in_common_is_no_match():
    cone = np.eye(16, dtype=np.float32)[0] * 3
    one, other = unit(cone + np.eye(16)[1]), unit(cone + np.eye(16)[2])
    assert one @ other > 0.85
    eyes = Yardstick(np.eye(16, dtype=np.float32), unit(cone).astype(np.float64) * 0.95, "margin", SHARP, SHARP)
    same, different = eyes.of_picture(one, np.stack([one, other]))
    assert same > MATCH > different


def test_no_hits_have_no_confidence():
    space = yardstick(EncoderSettings(device="cpu"))
    none = np.empty((0, 384), np.float32)
    assert space.of_text(space.texts[0], none).shape == space.of_picture(space.texts[0], none).shape == (0,)


def test_a_bundled_search_knows_what_is_there_and_what_is_not():
    from skimage import data

    encoder, space = load(EncoderSettings(device="cpu")), yardstick(EncoderSettings(device="cpu"))
    cat, coffee = (encoder.encode_frames(picture[None])[0] for picture in (data.chelsea(), data.coffee()))
    scenes = np.stack([cat, coffee])
    there, absent = (space.of_text(encoder.encode_texts([text])[0], scenes) for text in ("a cat", "a steam locomotive"))
    assert there[0] > MATCH > there[1]
    assert (absent < MATCH).all()
    like_the_cat = space.of_picture(encoder.encode_frames(data.chelsea()[None, :, ::-1])[0], scenes)
    assert like_the_cat[0] > MATCH > like_the_cat[1]


def test_any_checkpoint_has_a_yardstick_and_keeps_it(clip_folder):
    settings = EncoderSettings(name=str(clip_folder), device="cpu", canaries=False)
    space = yardstick(settings)
    assert yardstick(settings) is space
    assert space.texts.shape == (125, 24)
    confidence = space.of_text(space.texts[0], load(settings).encode_frames(np.zeros((2, 40, 40, 3), np.uint8)))
    assert ((confidence >= 0) & (confidence <= 1)).all()


def test_confidence_is_measured_without_torch():
    script = "import sys, encoders.confidence; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
