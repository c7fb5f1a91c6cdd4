import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import AcceleratorBusy, MissingDependency
from core.values import CutKind
from media import transnet
from media.transnet import Probabilities, cuts_from, probabilities
from media.transnet_network import network


def shot(seed, count):
    """A slow pan over a picture of coloured patches, seen as the network sees it: (count, 27, 48, 3)."""
    rng = np.random.default_rng(seed)
    wide = Image.fromarray(rng.integers(0, 255, (6, 12, 3), np.uint8)).resize((192, 108), Image.Resampling.BICUBIC)
    boxes = [(0.2 * index, 0, 0.2 * index + 120, 108) for index in range(count)]
    return np.stack([np.asarray(wide.resize((48, 27), Image.Resampling.BILINEAR, box=box)) for box in boxes])


def in_batches(frames, size):
    for start in range(0, len(frames), size):
        yield frames[start : start + size]


@pytest.fixture(scope="module")
def film():
    return np.concatenate([shot(1, 90), shot(2, 110), shot(3, 70)])


def test_hard_cuts_are_found_on_the_first_frame_of_the_new_shot(film):
    cuts = transnet.find_transnet_cuts(in_batches(film, 64))
    assert [(cut.frame, cut.kind) for cut in cuts] == [(90, CutKind.CUT), (200, CutKind.CUT)]
    assert all(cut.confidence > 0.5 for cut in cuts)


def test_a_dissolve_is_one_gradual_cut_within_its_frames():
    old, new = shot(4, 100).astype(float), shot(5, 100).astype(float)
    share = np.linspace(0, 1, 20)[:, None, None, None]
    mixed = old[80:] * (1 - share) + new[:20] * share
    film = np.concatenate([old[:80], mixed, new[20:]]).astype(np.uint8)
    cuts = transnet.find_transnet_cuts(in_batches(film, 50))
    assert [cut.kind for cut in cuts] == [CutKind.GRADUAL]
    assert 80 <= cuts[0].frame < 100


def test_probabilities_are_those_of_the_package(film):
    package = network().module
    with torch.inference_mode():
        boundary, part = package.predict_frames(torch.from_numpy(film), quiet=True)
    ours = probabilities(in_batches(film, 64))
    # Other windows and half precision move them a little, never across the threshold.
    np.testing.assert_allclose(ours.boundary, boundary, atol=0.1)
    assert ((ours.boundary > 0.5) == (boundary.numpy() > 0.5)).all()
    assert len(ours.part) == len(part)


@pytest.mark.parametrize("count", [0, 1, 149, 150, 151, 176, 325])
def test_every_frame_gets_one_probability_however_the_video_ends(count):
    film = np.zeros((count, 27, 48, 3), np.uint8)
    wanted = [frames for _, frames in transnet._windows(in_batches(film, 40))]
    assert sum(wanted) == count
    assert all(window.shape == (200, 27, 48, 3) for window, _ in transnet._windows(in_batches(film, 40)))


def test_windows_count_every_frame_once_and_in_order():
    film = np.arange(400, dtype=np.uint16).view(np.uint8).reshape(400, 2)
    frames = np.zeros((400, 27, 48, 3), np.uint8)
    frames[:, 0, 0, :2] = film
    seen = np.concatenate([window[25 : 25 + wanted] for window, wanted in transnet._windows(in_batches(frames, 33))])
    np.testing.assert_array_equal(seen, frames)


LOAD_IN_THREADS = """
import random, threading
import numpy as np, torch
from media.transnet_network import network
random.seed(7); np.random.seed(7); torch.manual_seed(7)
before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
given = []
threads = [threading.Thread(target=lambda: given.append(network())) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(given) == 4 and all(each is given[0] for each in given), given
assert random.getstate() == before[0]
assert (np.random.get_state()[1] == before[1]).all()
assert torch.equal(torch.get_rng_state(), before[2])
assert not torch.are_deterministic_algorithms_enabled()
"""


def test_threads_load_the_network_once_and_leave_the_process_as_it_was():
    done = subprocess.run(
        [sys.executable, "-c", LOAD_IN_THREADS], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a device that is not here")
def test_a_device_that_is_not_here_is_an_error_and_no_slow_run(film):
    with pytest.raises(MissingDependency, match="DAILIES_SHOTS__DEVICE"):
        transnet.find_transnet_cuts(in_batches(film, 64), "cuda")


def test_no_memory_for_a_window_is_a_busy_accelerator(film, monkeypatch):
    def predict_raw(_frames):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(network().module, "predict_raw", predict_raw)
    with pytest.raises(AcceleratorBusy, match="DAILIES_SHOTS__DEVICE"):
        transnet.find_transnet_cuts(in_batches(film, 64))


def seen(boundary, part, *looks):
    """Frames that look like the given patterns, each from its frame on."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 255, (9, 9, 16), np.uint8)
    frames = np.zeros((len(boundary), 9, 16), np.uint8)
    for start, pattern in looks:
        frames[start:] = 0 if pattern is None else patterns[pattern]
    return Probabilities(boundary, part, frames)


def test_a_fade_over_black_is_one_cut_and_a_close_hard_cut_another():
    boundary, part = np.zeros(100, np.float32), np.zeros(100, np.float32)
    part[20:27], part[33:40] = 0.8, 0.8  # out, black, in
    boundary[22], boundary[36] = 0.6, 0.7
    boundary[46] = part[46] = 0.9
    cuts = cuts_from(seen(boundary, part, (0, 1), (27, None), (33, 2), (47, 3)))
    assert [(cut.frame, cut.kind) for cut in cuts] == [(30, CutKind.GRADUAL), (47, CutKind.CUT)]


@pytest.mark.parametrize(
    ("after", "probability", "is_cut"),
    [
        (2, 0.3, True),  # another picture: little is enough
        (1, 0.7, False),  # the same picture: a flash
        (1, 0.9, True),  # the same picture, but the network is sure: a jump cut
    ],
)
def test_what_the_network_is_unsure_of_is_settled_by_looking(after, probability, is_cut):
    boundary, part = np.zeros(100, np.float32), np.zeros(100, np.float32)
    boundary[50] = part[50] = probability
    assert bool(cuts_from(seen(boundary, part, (0, 1), (51, after)))) is is_cut


def test_more_light_on_the_same_picture_is_no_cut(film):
    lit = film[:90].copy()
    lit[40:43] = np.clip(lit[40:43].astype(int) * 1.3 + 90, 0, 255)  # a flash
    lit[60:] = np.clip(lit[60:] * np.linspace(1, 0.5, 30)[:, None, None, None], 0, 255)  # dusk
    assert transnet.find_transnet_cuts(in_batches(lit, 64)) == []


def test_a_blur_that_only_looks_like_part_of_a_transition_is_no_cut():
    part = np.zeros(100, np.float32)
    part[20:40] = 0.8
    assert cuts_from(seen(np.full(100, 0.2, np.float32), part, (0, 1), (30, 2))) == []
