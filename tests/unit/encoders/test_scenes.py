from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import EncoderUnhealthy
from core.values import EncoderSpec
from encoders import scenes


def frame(level):
    return np.full((8, 8, 3), level, np.uint8)


class BrightnessEncoder:
    """Turns a frame's brightness into a direction."""

    spec = EncoderSpec(name="brightness", revision="1", dim=2, preprocess="none")

    def encode_frames(self, frames):
        angle = frames.mean(axis=(1, 2, 3)) / 255 * np.pi / 2
        return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def batches(*pairs):
    for owners, levels in pairs:
        yield np.stack([frame(level) for level in levels]), np.array(owners)


def test_a_scene_is_the_mean_direction_of_its_frames_however_they_are_batched():
    rows = scenes.embed(BrightnessEncoder(), batches(([0, 0, 1], [0, 255, 0]), ([1], [0])), 2)
    np.testing.assert_allclose(rows, [[0.5**0.5, 0.5**0.5], [1, 0]], atol=1e-6)
    assert rows.dtype == np.float32


def test_a_scene_without_a_frame_is_an_error():
    with pytest.raises(EncoderUnhealthy, match="scene 1 of 2"):
        scenes.embed(BrightnessEncoder(), batches(([0], [10])), 2)


def test_an_encoder_that_turns_constant_midway_is_caught():
    constant = SimpleNamespace(
        spec=BrightnessEncoder.spec, encode_frames=lambda frames: np.tile(np.float32([[1, 0]]), (len(frames), 1))
    )
    with pytest.raises(EncoderUnhealthy, match="same vector"):
        scenes.embed(constant, batches(([0, 1], [0, 255])), 2)
