"""Tags of colour that no filter takes: a camera's, or a damaged picture's, cost nothing but the tags."""

import json
import subprocess

import pytest

from core.settings import MediaSettings
from media.validation import inspect
from tests.media.conftest import H264, make_all

SETTINGS = MediaSettings(ladder=(32,), preset="ultrafast", proxy_short_side=64, threads=2)
FRAMES = 12
FILM = ("-f", "lavfi", "-i", f"testsrc2=r={FRAMES}:s=64x64:d=1")
#: Where a ProRes picture says its transfer function, counted from the name of its header; 3 means nothing.
PRORES_TRANSFER, RESERVED = 18, 3


@pytest.fixture
def made_of(tmp_path, tools, limits):
    """Validate and transcode a source."""
    return lambda source: make_all(source, inspect(source, tools, limits), SETTINGS, tmp_path, tools, limits)


def tagged(make, tags: str):
    film = make("plain.mp4", *FILM, *H264)
    return make("tagged.mp4", "-i", str(film), "-c", "copy", "-bsf:v", f"h264_metadata={tags}")


def tags_of(tools, made) -> dict[str, str]:
    """Ask what the largest rung says of its colours."""
    asked = ["-v", "error", "-show_entries", "stream=color_primaries,color_transfer,color_space", "-of", "json"]
    rung = next(iter(made.rungs.values()))
    said = subprocess.run([tools.ffprobe, *asked, rung], check=True, capture_output=True, timeout=60).stdout
    return json.loads(said)["streams"][0]


@pytest.mark.parametrize("tags", ["matrix_coefficients=8", "matrix_coefficients=11", "matrix_coefficients=14"])
def test_a_matrix_that_no_filter_takes_is_passed_over(make, made_of, tags):
    assert made_of(tagged(make, tags)).frames == FRAMES


def test_pictures_in_red_green_and_blue_need_no_matrix(make, made_of):
    assert made_of(make("rgb.mp4", *FILM, "-c:v", "libx264rgb", "-preset", "ultrafast")).frames == FRAMES


def test_a_picture_with_a_tag_of_its_own_does_not_end_the_transcode(make, made_of, tmp_path):
    film = make("prores.mov", *FILM, "-c:v", "prores", "-pix_fmt", "yuv422p10le")
    content = bytearray(film.read_bytes())
    at = -1
    for _ in range(FRAMES // 2):
        at = content.index(b"icpf", at + 1)
    content[at + PRORES_TRANSFER] = RESERVED
    damaged = tmp_path / "upload"
    damaged.write_bytes(content)
    assert made_of(damaged).frames == FRAMES


def test_tags_that_players_understand_are_kept(make, made_of, tools):
    wide = "colour_primaries=12:transfer_characteristics=1:matrix_coefficients=1"  # Display P3, as phones write it
    assert tags_of(tools, made_of(tagged(make, wide))) == {
        "color_space": "bt709",
        "color_transfer": "bt709",
        "color_primaries": "smpte432",
    }


HDR_BITS = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params")


@pytest.mark.parametrize(
    "tags",
    [
        "transfer=smpte2084",
        "transfer=arib-std-b67",
        "transfer=smpte2084:colorprim=bt2020",
        "transfer=smpte2084:colorprim=bt2020:colormatrix=bt2020c",
        "transfer=smpte2084:colorprim=bt2020:colormatrix=ictcp",
        "transfer=arib-std-b67:colorprim=bt2020:colormatrix=bt2020nc",
    ],
)
def test_hdr_with_tags_missing_is_transcoded(make, made_of, tags, tools):
    made = made_of(make("hdr.mp4", *FILM, *HDR_BITS, f"log-level=none:{tags}"))
    assert made.frames == FRAMES
    assert not tools.can_tone_map or tags_of(tools, made)["color_transfer"] == "bt709"


@pytest.mark.parametrize("codec", ["libx264rgb", "ffv1"])
def test_red_green_and_blue_come_out_as_players_take_them(make, made_of, tools, codec):
    """Players take what is tagged BT.709 for that, and guess at what is not by its size."""
    colour = (0x20, 0xC0, 0x40)
    green = ("-f", "lavfi", "-i", f"color=0x20C040:s=64x64:r={FRAMES}:d=1,format=gbrp")
    made = made_of(make(f"green_{codec}.mkv", *green, "-c:v", codec))
    assert set(tags_of(tools, made).values()) == {"bt709"}
    rung = next(iter(made.rungs.values()))
    shown = ["-vf", "scale=in_color_matrix=bt709,format=rgb24", "-frames:v", "1", "-f", "rawvideo", "-"]
    decoded = subprocess.run([tools.ffmpeg, "-v", "error", "-i", rung, *shown], check=True, capture_output=True)
    assert [sum(decoded.stdout[plane::3]) / len(decoded.stdout[plane::3]) for plane in range(3)] == pytest.approx(
        colour, abs=4
    )


def test_pictures_in_red_green_and_blue_keep_the_tags_that_they_have(make, made_of, tools):
    tags = "setparams=color_primaries=smpte432:color_trc=iec61966-2-1"
    made = made_of(make("wide_rgb.mkv", *FILM, "-vf", tags, "-c:v", "libx264rgb", "-preset", "ultrafast"))
    assert tags_of(tools, made) == {
        "color_space": "bt709",
        "color_transfer": "iec61966-2-1",
        "color_primaries": "smpte432",
    }
