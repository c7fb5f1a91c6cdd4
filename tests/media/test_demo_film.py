import itertools
import json

import numpy as np
import pytest

from cli.demo_film import compose
from core.settings import EncoderSettings, MediaSettings
from encoders.load import load
from media.launcher import run_ffprobe, stream_ffmpeg
from media.tools import find_tools

FRAME_RATE = 25
WIDTH, HEIGHT = 398, 224


@pytest.fixture(scope="module")
def tools():
    return find_tools(MediaSettings())


@pytest.fixture(scope="module")
def film(tools, tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "film.mp4"
    return path, compose(path, tools)


@pytest.fixture(scope="module")
def frames(film, tools):
    args = ["-i", f"file:{film[0]}", "-vf", f"scale={WIDTH}:{HEIGHT}", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
    pictures = []
    with stream_ffmpeg(tools, args) as process:
        while len(picture := process.read(WIDTH * HEIGHT * 3)) == WIDTH * HEIGHT * 3:
            pictures.append(np.frombuffer(picture, np.uint8).reshape(HEIGHT, WIDTH, 3))
        process.finish()
    return np.stack(pictures)


def test_the_film_is_half_a_minute_of_playable_video_with_sound(film, tools):
    args = ["-v", "error", "-show_streams", "-show_format", "-of", "json", f"file:{film[0]}"]
    probed = json.loads(run_ffprobe(tools, args).stdout)
    video, audio = probed["streams"]
    assert (video["codec_name"], video["width"], video["height"]) == ("h264", 1280, 720)
    assert (video["r_frame_rate"], audio["codec_name"]) == ("25/1", "aac")
    assert float(probed["format"]["duration"]) == pytest.approx(30, abs=0.1)


def test_its_seven_scenes_cover_it_without_gap_or_overlap(film, frames):
    _, scenes = film
    assert [scene.name for scene in scenes] == [
        "cat", "coffee", "rocket", "astronaut", "motorcycle", "coins", "moon",
    ]  # fmt: skip
    assert scenes[0].start_s == 0
    assert all(one.end_s == other.start_s for one, other in itertools.pairwise(scenes))
    assert scenes[-1].end_s * FRAME_RATE == len(frames)


def test_it_has_five_hard_cuts_where_it_says_and_one_dissolve(film, frames):
    _, scenes = film
    steps = np.abs(np.diff(frames[:, ::4, ::4].astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    cuts = (np.flatnonzero(steps > 40) + 1) / FRAME_RATE
    assert cuts.tolist() == [scene.start_s for scene in scenes[1:-1]]


def test_a_search_for_at_least_five_of_the_seven_finds_its_scene_first(film, frames):
    _, scenes = film
    encoder = load(EncoderSettings(device="cpu"))
    rows = []
    for scene in scenes:
        times = scene.start_s + (np.arange(4) + 0.5) / 4 * (scene.end_s - scene.start_s)
        mean = encoder.encode_frames(frames[(times * FRAME_RATE).astype(int)]).mean(axis=0)
        rows.append(mean / np.linalg.norm(mean))
    found = (encoder.encode_texts([scene.query for scene in scenes]) @ np.stack(rows).T).argmax(axis=1)
    assert (found == np.arange(len(scenes))).sum() >= 5


def test_nothing_but_the_film_is_left_behind(film):
    assert [path.name for path in film[0].parent.iterdir()] == ["film.mp4"]
