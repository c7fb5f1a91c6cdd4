"""Frames, shots and stills, all from the proxy."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import MissingDependency
from core.settings import MediaSettings, ShotSettings, StillSettings
from core.values import CutKind, Scene, Shot
from media.frames import is_blank, scene_frames, sharpness
from media.likeness import continued_starts
from media.scenes import scenes_from
from media.shots import detect_shots
from media.stills import clock, contact_sheet, posters
from media.storyboard import storyboard
from media.telling import telling_frames
from media.timing import frame_times
from media.validation import inspect
from tests.media.conftest import H264, make_all


@pytest.fixture(scope="session")
def proxy_of(tools, limits, tmp_path_factory):
    def proxy_of(source: Path) -> Path:
        facts = inspect(source, tools, limits)
        folder = tmp_path_factory.mktemp("proxy")
        settings = MediaSettings(proxy_short_side=90, threads=2)
        made = make_all(source, facts, settings, folder, tools, limits, rungs=())
        assert made.proxy is not None
        return made.proxy

    return proxy_of


@pytest.fixture(scope="session")
def colours(make, proxy_of) -> Path:
    """A second each of black, red, green and blue, at 10 frames/s."""
    inputs = [f"color={c}:r=10:s=160x90:d=1" for c in ("black", "red", "lime", "blue")]
    graph = ";".join(f"{c}[c{i}]" for i, c in enumerate(inputs)) + ";[c0][c1][c2][c3]concat=n=4"
    return proxy_of(make("colours.mp4", "-f", "lavfi", "-i", graph, *H264))


def scene(index: int, start: float, end: float) -> Scene:
    return Scene(index=index, start_s=Decimal(str(start)), end_s=Decimal(str(end)))


def test_cuts_are_found_where_they_are(three_shots, proxy_of, tools):
    shots = detect_shots(proxy_of(three_shots), ShotSettings(detector="fast"), tools)
    assert [(float(s.start_s), float(s.end_s)) for s in shots] == [(0, 1), (1, 2), (2, 3)]
    assert [s.kind for s in shots] == ["start", "cut", "cut"]
    assert all(0.5 <= s.confidence <= 1 for s in shots)


def test_a_cut_in_a_variable_frame_rate_has_its_exact_time(make, proxy_of, tools):
    """20 frames/s until the cut at 1 s, 5 after it: frame number by mean rate would be wrong by far."""
    source = make(
        "variable_cut.mp4",
        *("-f", "lavfi", "-i", "color=red:r=20:s=160x90:d=1[a];color=blue:r=20:s=160x90:d=3[b];[a][b]concat=n=2"),
        *("-vf", "select='lt(t,1)+not(mod(n,4))'", "-fps_mode", "passthrough", *H264),
    )
    shots = detect_shots(proxy_of(source), ShotSettings(detector="fast"), tools)
    assert [float(s.start_s) for s in shots] == [0, 1]


def test_a_detector_that_does_not_exist_is_named(colours, tools):
    with pytest.raises(MissingDependency, match="cascade, fast, transnet"):
        detect_shots(colours, ShotSettings.model_construct(detector="nonsense"), tools)


def test_shots_with_the_same_colours_continue_the_scene(make, proxy_of, tools):
    """Red, then red with a green corner, then blue: the second is much like the first, the third is not."""
    inputs = [f"color={c}:r=10:s=160x90:d=1" for c in ("red", "red", "blue")]
    graph = f"{inputs[0]}[a];{inputs[1]},drawbox=w=40:h=45:color=lime:t=fill[b];{inputs[2]}[c];[a][b][c]concat=n=3"
    proxy = proxy_of(make("corner.mp4", "-f", "lavfi", "-i", graph, *H264))
    shots = [Shot(start_s=Decimal(i), end_s=Decimal(i + 1), kind=CutKind.CUT) for i in range(3)]
    assert continued_starts(proxy, shots, 0.8, tools) == {Decimal(1)}
    assert continued_starts(proxy, shots, 0.95, tools) == frozenset()
    assert continued_starts(proxy, shots, None, tools) == frozenset()


def test_frames_come_from_their_own_scene(colours, tools):
    scenes = [scene(i, i, i + 1) for i in range(4)]
    batches = list(scene_frames(colours, scenes, 3, tools, scenes_per_batch=2))
    assert [owners.tolist() for _, owners in batches] == [[0, 0, 0, 1, 1, 1], [2, 2, 2, 3, 3, 3]]
    pictures = np.concatenate([pictures for pictures, _ in batches])
    assert pictures.shape == (12, 90, 160, 3)
    # Red, green, blue: the strongest channel is 0, 1, 2.
    assert pictures[3:].mean(axis=(1, 2)).argmax(axis=1).tolist() == [0] * 3 + [1] * 3 + [2] * 3


def test_a_blurred_picture_is_passed_over_for_a_sharp_one_of_its_share(make, proxy_of, tools):
    """Out of focus until 0.7 s of 1 s: the first choice lies at 0.5, the second at 0.85."""
    source = make(
        "focus.mp4",
        *("-f", "lavfi", "-i", "testsrc2=r=20:s=160x90:d=1", "-vf", "gblur=sigma=6:enable='lt(t,0.7)'", *H264),
    )
    proxy = proxy_of(source)
    [(pictures, _)] = scene_frames(proxy, [scene(0, 0, 1)], 1, tools)
    [(both, _)] = scene_frames(proxy, [scene(0, 0, 0.6), scene(1, 0.7, 1)], 1, tools)
    blurred, sharp = (sharpness(one) for one in both)
    assert sharp > 3 * blurred
    assert sharpness(pictures[0]) > 0.5 * sharp


def test_hundreds_of_pictures_are_read_at_once(make, proxy_of, tools):
    """ffmpeg takes no plain sum of so many conditions."""
    proxy = proxy_of(make("many.mp4", "-f", "lavfi", "-i", "testsrc2=r=40:s=160x90:d=12", *H264))
    scenes = [scene(i, i * 0.75, (i + 1) * 0.75) for i in range(16)]
    [(pictures, owners)] = scene_frames(proxy, scenes, 12, tools)
    assert len(pictures) == len(owners) == 16 * 12


def test_a_scene_with_fewer_frames_than_wanted_gives_them_all(colours, tools):
    ((pictures, owners),) = scene_frames(colours, [scene(0, 1, 1.2)], 8, tools)
    assert len(pictures) == 2
    assert owners.tolist() == [0, 0]


def test_a_scene_between_two_frames_shows_the_one_on_screen(colours, tools):
    ((pictures, _),) = scene_frames(colours, [scene(0, 2.95, 2.99)], 2, tools)
    assert pictures.mean(axis=(1, 2)).argmax(axis=1).tolist() == [1]


def test_black_is_avoided_where_there_is_a_choice(make, proxy_of, tools):
    source = make(
        "dark_half.mp4",
        *(
            "-f",
            "lavfi",
            "-i",
            "color=black:r=10:s=160x90:d=1.2[a];testsrc2=r=10:s=160x90:d=0.8[b];[a][b]concat=n=2",
            *H264,
        ),
    )
    ((pictures, _),) = scene_frames(proxy_of(source), [scene(0, 0, 2)], 1, tools)
    assert pictures[0].std() > 20


def test_a_dark_part_of_a_scene_has_no_say_in_what_it_shows(make, proxy_of, tools):
    """Three of four parts of the first scene are black; the second one is black all over."""
    inputs = ["color=black:r=10:s=160x90:d=3", "testsrc2=r=10:s=160x90:d=1", "color=black:r=10:s=160x90:d=2"]
    graph = ";".join(f"{source}[c{i}]" for i, source in enumerate(inputs)) + ";[c0][c1][c2]concat=n=3"
    proxy, scenes = (
        proxy_of(make("mostly_dark.mp4", "-f", "lavfi", "-i", graph, *H264)),
        [scene(0, 0, 4), scene(1, 4, 6)],
    )
    [(all_of_it, _)] = scene_frames(proxy, scenes, 4, tools)
    assert [is_blank(picture) for picture in all_of_it] == [True] * 3 + [False] + [True] * 4
    [(pictures, owners)] = telling_frames(proxy, scenes, 4, tools)
    assert owners.tolist() == [0, 1, 1, 1, 1]
    assert not is_blank(pictures[0])


def numbered(make, name: str, *options: str) -> Path:
    """Make a film of 6 s, 150 pictures, each as bright as its number says."""
    grey = "color=gray:r=25:s=160x90:d=6,geq=lum='66+N':cb=128:cr=128,drawbox=w=80:h=90:color=black:t=fill"
    return make(name, "-f", "lavfi", "-i", grey, *H264, *options)


def numbers(pictures: np.ndarray) -> list[int]:
    """Read what numbered pictures show; an encoder may miss by a few."""
    return [round(float(picture[:, 100:].mean()) * 219 / 255) - 50 for picture in pictures]


def test_what_a_scene_shows_is_told_by_keyframes_of_our_proxies(make, proxy_of, tools):
    proxy = proxy_of(numbered(make, "numbered.mp4", "-crf", "1"))
    assert frame_times(proxy).keyframes.tolist() == [0, 13, 25, 38, 50, 63, 75, 88, 100, 113, 125, 138]
    [(pictures, _)] = telling_frames(proxy, [scene(0, 1, 3), scene(1, 4, 6)], 4, tools)
    assert numbers(pictures) == pytest.approx([25, 38, 50, 63, 100, 113, 125, 138], abs=3)
    [(later, _)] = telling_frames(proxy, [scene(0, 4, 6)], 4, tools)
    assert (later == pictures[4:]).all()


def test_a_scene_with_fewer_keyframes_than_pictures_wanted_shows_others_too(make, proxy_of, tools):
    proxy = proxy_of(numbered(make, "short_scenes.mp4", "-crf", "1"))
    batches = list(telling_frames(proxy, [scene(0, 0, 2), scene(1, 4, 4.6), scene(2, 4.6, 6)], 4, tools))
    assert [owners.tolist() for _, owners in batches] == [[0] * 4, [1] * 4 + [2] * 4]
    assert numbers(batches[0][0]) == pytest.approx([0, 13, 25, 38], abs=3)
    assert numbers(batches[1][0]) == pytest.approx([102, 105, 109, 113, 119, 128, 137, 145], abs=3)


def test_a_keyframe_of_few_bytes_is_passed_over_for_one_that_shows_something(make, proxy_of, tools):
    """Black until 1.3 s of 2.5 s: the keyframe in the middle shows nothing."""
    film = "color=black:r=10:s=320x180:d=1.3[a];testsrc2=r=10:s=320x180:d=1.2[b];[a][b]concat=n=2"
    proxy = proxy_of(make("late.mp4", "-f", "lavfi", "-i", film, *H264))
    [(pictures, _)] = telling_frames(proxy, [scene(0, 0, 2.5)], 1, tools)
    assert len(pictures) == 1
    assert not is_blank(pictures[0])


def test_a_proxy_with_few_keyframes_or_boxes_without_them_tells_as_much(make, tools):
    """Proxies of earlier releases have one every two seconds."""
    sparse = numbered(make, "sparse.mp4", "-g", "50", "-bf", "0", "-sc_threshold", "0")
    assert frame_times(sparse).keyframes.tolist() == [0, 50, 100]
    fragments = numbered(make, "fragments.mp4", "-g", "5", "-movflags", "+frag_keyframe+empty_moov")
    for proxy in (sparse, fragments):
        [(pictures, owners)] = telling_frames(proxy, [scene(0, 0, 4), scene(1, 4, 6)], 4, tools)
        assert owners.tolist() == [0] * 4 + [1] * 4
        assert numbers(pictures) == pytest.approx([12, 37, 62, 87, 106, 118, 131, 143], abs=3)


def test_where_every_picture_is_a_keyframe_each_share_gives_one(make, tools):
    every = numbered(make, "every.mp4", "-g", "1")
    assert frame_times(every).keyframes.tolist() == list(range(150))
    [(pictures, _)] = telling_frames(every, [scene(0, 0, 6)], 3, tools)
    assert [(number + 3) // 50 for number in numbers(pictures)] == [0, 1, 2]


def test_every_scene_gets_a_poster_and_a_place_on_the_sheet(three_shots, proxy_of, tools, tmp_path):
    proxy = proxy_of(three_shots)
    shots = detect_shots(proxy, ShotSettings(detector="fast"), tools)
    scenes = scenes_from(shots, Decimal(3), 1, 60)
    settings = StillSettings(poster_short_side=60, sheet_columns=2)
    made = posters(proxy, scenes, settings, tmp_path, tools)
    assert len(made) == 3
    with Image.open(made[1]) as image:
        assert (image.format, min(image.size)) == ("JPEG", 60)
    with Image.open(contact_sheet([*made[:2], None], scenes, settings, tmp_path / "sheet.jpg")) as sheet:
        assert sheet.width > 2 * 240
        assert sheet.height > sheet.width * 9 // 16 // 2 * 2 - 100


def test_media_time_is_written_for_people():
    assert clock(Decimal("3.46")) == "0:03.4"
    assert clock(Decimal("3723.9")) == "1:02:03.9"


def test_the_storyboard_says_which_tile_is_when(colours, tools, tmp_path):
    vtt, sprite = storyboard(colours, tmp_path, tools)
    cues = vtt.read_text().split("\n\n")
    assert cues[0] == "WEBVTT"
    assert cues[1] == "00:00:00.000 --> 00:00:02.000\nstoryboard.jpg#xywh=0,0,160,90"
    assert cues[2].startswith("00:00:02.000 --> 00:00:04.000\nstoryboard.jpg#xywh=160,0,160,90")
    with Image.open(sprite) as image:
        assert image.size == (320, 90)
        # The second tile is what is on screen at 2 s: green.
        assert np.asarray(image)[:, 200:].mean(axis=(0, 1)).argmax() == 1
