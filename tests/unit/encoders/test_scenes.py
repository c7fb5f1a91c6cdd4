import threading
from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import EncoderRejected, EncoderUnhealthy, PermanentError
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


def test_reading_is_one_batch_ahead_of_the_network_and_no_further():
    made, seen = [], []

    def counted():
        for scene in range(6):
            made.append(scene)
            yield np.stack([frame(40 * scene)]), np.array([scene])

    class Watching(BrightnessEncoder):
        def encode_frames(self, frames):
            seen.append(len(made))
            return super().encode_frames(frames)

    scenes.embed(Watching(), counted(), 6)
    # While batch n is encoded, n are done, one waits, and one may be in the making.
    assert all(count <= done + 3 for done, count in enumerate(seen))
    assert made == list(range(6))


def test_a_fault_while_reading_is_raised_as_it_is():
    def torn():
        yield np.stack([frame(0)]), np.array([0])
        raise EncoderRejected("the proxy is torn")

    with pytest.raises(EncoderRejected, match="torn"):
        scenes.embed(BrightnessEncoder(), torn(), 2)


def test_reading_stops_when_the_network_fails():
    made = []

    def endless():
        for scene in range(10_000):
            made.append(scene)
            yield np.stack([frame(0), frame(255)]), np.array([scene, scene])

    constant = SimpleNamespace(
        spec=BrightnessEncoder.spec, encode_frames=lambda frames: np.tile(np.float32([[1, 0]]), (len(frames), 1))
    )
    with pytest.raises(EncoderUnhealthy):
        scenes.embed(constant, endless(), 10_000)
    assert len(made) < 10
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


@pytest.mark.parametrize(
    ("spoil", "finding"),
    [
        (lambda rows: np.full_like(rows, np.nan), "NaN"),
        (lambda rows: rows * 7, "lengths are off"),
        (lambda rows: np.tile(rows[:1], (len(rows), 1)), "same vector"),
    ],
)
def test_an_encoder_that_breaks_midway_fails_the_stage_for_good(spoil, finding):
    class Spoilt(BrightnessEncoder):
        def encode_frames(self, frames):
            return spoil(super().encode_frames(frames))

    with pytest.raises(EncoderUnhealthy, match=finding) as caught:
        scenes.embed(Spoilt(), batches(([0, 0, 1], [0, 255, 100])), 2)
    assert isinstance(caught.value, PermanentError)
