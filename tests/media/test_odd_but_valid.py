"""What people upload is often odd; all of this is indexed."""

import pytest

from core.settings import LimitSettings, MediaSettings
from media.tools import find_tools
from media.validation import inspect
from tests.hostile.seeds import RECIPES, make_seeds
from tests.hostile.verdicts import DEGRADED, INDEXED, ending

PICTURES = ["-f", "lavfi", "-i", "testsrc2=r=12:s=64x64:d=1"]
SOUND = ["-f", "lavfi", "-i", "sine=440:d=1"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
HDR = "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"

ODD = {
    "ten_bits.mp4": [*PICTURES, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"],
    "full_colour.mkv": [*PICTURES, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p"],
    "two_languages.mkv": [*PICTURES, *SOUND, *SOUND, "-map", "0", "-map", "1", "-map", "2", *H264, "-c:a", "aac"],
    "no_duration.mkv": [*PICTURES, *H264, "-live", "1", "-f", "matroska"],
    "no_duration.webm": [*PICTURES, "-c:v", "libvpx", "-live", "1"],
    "five_seconds.mov": ["-f", "lavfi", "-i", "testsrc2=r=12:s=64x64:d=5", *H264],
    "anamorphic.mp4": [*PICTURES, "-vf", "setsar=16/11", *H264],
    "odd_size.mkv": ["-f", "lavfi", "-i", "testsrc2=r=12:s=63x37:d=1", "-c:v", "ffv1"],
    "sound_that_is_longer.mp4": [*PICTURES, "-f", "lavfi", "-i", "sine=440:d=3", *H264, "-c:a", "aac"],
}


@pytest.fixture(scope="module")
def end_of(make):
    tools, limits = find_tools(MediaSettings(threads=2)), LimitSettings()
    return lambda name, args: ending(make(name, *args), tools, limits)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_film_is_indexed(name, end_of):
    end = end_of(name, ODD[name])
    assert end.verdict == INDEXED, end.sentence


def test_a_picture_that_its_header_stretches_far_stays_within_the_limits(make, tools, limits):
    """As said by its header it would be 8,000 pixels wide, more than an encoder takes."""
    stretched = make("stretched.mp4", "-f", "lavfi", "-i", "testsrc2=r=5:s=1000x64:d=1", "-vf", "setsar=8", *H264)
    facts = inspect(stretched, tools, limits)
    assert (facts.width, facts.height) == (limits.max_width, 64 * limits.max_width // 8000)
    assert ending(stretched, tools, limits).verdict == INDEXED


def test_hdr_is_indexed_and_named_where_colours_cannot_be_mapped(end_of, tools):
    coded = ["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", HDR]
    end = end_of("hdr.mp4", [*PICTURES, *coded])
    assert end.verdict == (INDEXED if tools.can_tone_map else DEGRADED)
    assert tools.can_tone_map or "HDR" in end.sentence


def test_av1_is_indexed_where_it_can_be_decoded(end_of, tools):
    end = end_of("av1.mp4", [*PICTURES, "-c:v", "libsvtav1", "-preset", "12", "-svtav1-params", "lp=1"])
    assert end.verdict == (INDEXED if tools.can_decode_av1 else "unsupported_codec")


@pytest.mark.long
@pytest.mark.parametrize("name", RECIPES)
def test_every_accepted_container_and_codec_is_indexed(name, tools, limits, tmp_path):
    make_seeds(tools, tmp_path, (name,))
    end = ending(tmp_path / name, tools, limits)
    assert end.verdict == INDEXED, end.sentence
