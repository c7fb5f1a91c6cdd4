from dataclasses import dataclass, field

import numpy as np
import pytest

from core.errors import EncoderUnhealthy
from core.values import EncoderSpec
from encoders import health

DIM = 16
SPEC = EncoderSpec(name="fake", revision="1", dim=DIM, preprocess="none")


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def canary_frames():
    return np.load(health.CANARY_FILE)


@dataclass
class FakeEncoder:
    """Knows the canaries by heart; one method is spoilt a test."""

    frame_rows: np.ndarray = field(default_factory=lambda: np.eye(4, DIM, dtype=np.float32))
    text_rows: np.ndarray = field(default_factory=lambda: np.eye(4, DIM, dtype=np.float32))
    spec = SPEC

    def preprocess(self, frames):
        raise NotImplementedError

    def encode_frames(self, frames):
        return self.frame_rows

    def encode_texts(self, texts):
        return self.text_rows


def test_a_healthy_encoder_passes():
    health.check_encoder(FakeEncoder())


def test_a_constant_encoder_is_caught():
    constant = unit(np.ones((4, DIM)))
    with pytest.raises(EncoderUnhealthy, match="100% of the pairs of different frames have the same vector"):
        health.check_encoder(FakeEncoder(frame_rows=constant))


def test_an_encoder_that_hardly_varies_is_caught():
    rows = unit(np.ones((4, DIM)) + 0.05 * np.eye(4, DIM))
    with pytest.raises(EncoderUnhealthy, match="hardly differ"):
        health.check_encoder(FakeEncoder(frame_rows=rows))


def test_a_nan_encoder_is_caught():
    rows = np.eye(4, DIM, dtype=np.float32)
    rows[2, 3] = np.nan
    with pytest.raises(EncoderUnhealthy, match="1 of 4 vectors hold NaN"):
        health.check_encoder(FakeEncoder(frame_rows=rows))


def test_an_encoder_that_forgets_to_normalise_is_caught():
    with pytest.raises(EncoderUnhealthy, match="lengths are off by up to 6"):
        health.check_encoder(FakeEncoder(frame_rows=7 * np.eye(4, DIM, dtype=np.float32)))


def test_texts_are_held_to_the_same_promise():
    with pytest.raises(EncoderUnhealthy, match="lengths are off"):
        health.check_encoder(FakeEncoder(text_rows=0.5 * np.eye(4, DIM, dtype=np.float32)))


def test_another_dimension_than_promised_is_caught():
    with pytest.raises(EncoderUnhealthy, match=r"shape \(4, 8\), not \(n, 16\)"):
        health.check_encoder(FakeEncoder(frame_rows=np.eye(4, 8, dtype=np.float32)))


def test_an_encoder_that_mixes_up_pictures_is_caught_unless_canaries_are_off():
    swapped = FakeEncoder(text_rows=np.eye(4, DIM, dtype=np.float32)[[1, 0, 2, 3]])
    with pytest.raises(EncoderUnhealthy, match="a cat or a cup of coffee"):
        health.check_encoder(swapped)
    health.check_encoder(swapped, canaries=False)


def test_equal_vectors_of_a_still_video_are_healthy():
    still = np.repeat(canary_frames()[:1], 5, axis=0)
    health.check_frames(SPEC, still, unit(np.ones((5, DIM))))


def test_equal_vectors_of_different_frames_are_not():
    with pytest.raises(EncoderUnhealthy, match="same vector"):
        health.check_frames(SPEC, canary_frames(), unit(np.ones((4, DIM))))


def test_a_lost_row_is_caught():
    with pytest.raises(EncoderUnhealthy, match="3 vectors for 4 frames"):
        health.check_frames(SPEC, canary_frames(), np.eye(3, DIM, dtype=np.float32))


def test_nothing_to_check_is_healthy():
    health.check_rows(SPEC, np.empty((0, DIM), np.float32))


def library(*groups):
    """Stored vectors: so many of each direction."""
    return np.concatenate([np.tile(np.eye(DIM, dtype=np.float32)[place], (count, 1)) for place, count in groups])


def test_a_library_may_hold_equal_scenes_but_not_one_vector_for_most():
    health.check_stored(SPEC, library((0, 5), (1, 3), (2, 2)))
    with pytest.raises(EncoderUnhealthy, match="60% of its stored vectors are one and the same"):
        health.check_stored(SPEC, library((0, 6), (1, 2), (2, 2)))


def test_a_library_of_hardly_any_difference_is_caught_even_if_no_two_are_equal():
    rng = np.random.default_rng(0)
    with pytest.raises(EncoderUnhealthy, match="hardly differ"):
        health.check_stored(SPEC, unit(np.ones((20, DIM)) + 0.01 * rng.normal(size=(20, DIM))))


def test_a_handful_of_scenes_may_all_look_the_same():
    health.check_stored(SPEC, library((0, health.LIBRARY - 1)))
