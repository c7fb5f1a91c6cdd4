"""Pictures whose size, shape or place changes on the way, or is told outside of the header: shown whole, upright, in shape."""

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from core.settings import MediaSettings
from tests.media.conftest import H264

SETTINGS = MediaSettings(ladder=(180, 64), preset="ultrafast", proxy_short_side=64, threads=2)
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")
RATE = 12


def film(size: str, length_s: int = 1, colour: str = "white") -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"color={colour}:s={size}:r={RATE}:d={length_s}")


@pytest.fixture
def joined(make, tmp_path):
    """Put films of the same codec behind one another into one file, without encoding."""

    def joined(name: str, *films: Path, more: tuple[str, ...] = ()) -> Path:
        script = tmp_path / "films.txt"
        script.write_text("".join(f"file '{film}'\n" for film in films))
        return make(name, "-f", "concat", "-safe", "0", "-i", str(script), "-c", "copy", *more)

    return joined


def test_a_recording_that_begins_small_has_the_rungs_of_what_it_grows_to(make, joined, become):
    """As browsers record a call: the first second is sent small."""
    small, large = (make(f"{size}.webm", *film(size), *VP8) for size in ("64x36", "320x180"))
    facts, made = become(joined("grown.webm", small, large, more=("-live", "1")))
    assert (facts.width, facts.height) == (320, 180)
    assert list(made.rungs) == ["180p", "64p"]
    assert made.frames == 2 * RATE


def test_a_recording_that_shrinks_keeps_the_size_it_began_with(make, joined, become):
    small, large = (make(f"{size}.webm", *film(size), *VP8) for size in ("64x36", "320x180"))
    facts, _ = become(joined("shrunk.webm", large, small))
    assert (facts.width, facts.height) == (320, 180)


@pytest.fixture
def last_picture(tools):
    """The last picture of a file as brightness, (height, width)."""

    def last_picture(path: Path) -> np.ndarray:
        asked = ["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0"]
        size = subprocess.run([tools.ffprobe, *asked, path], check=True, capture_output=True, timeout=60).stdout
        width, height = (int(side) for side in size.split(b","))
        decoded = ["-nostdin", "-v", "error", "-i", path, "-pix_fmt", "gray", "-f", "rawvideo", "-"]
        pictures = subprocess.run([tools.ffmpeg, *decoded], check=True, capture_output=True, timeout=60).stdout
        return np.frombuffer(pictures, np.uint8).reshape(-1, height, width)[-1]

    return last_picture


def lit(brightness: np.ndarray) -> list[tuple[int, int]]:
    """Say which columns and which rows are white, as half-open intervals; those between are blurred by a pixel."""
    spans = []
    for axis in (0, 1):
        bright = np.flatnonzero(brightness.max(axis=axis) > 128)
        spans.append((int(bright[0]), int(bright[-1]) + 1))
    return spans


def test_a_telephone_that_is_turned_while_it_records_gets_bars_beside_the_picture(make, joined, become, last_picture):
    lying, standing = (make(f"{size}.webm", *film(size), *VP8) for size in ("128x64", "64x128"))
    _, made = become(joined("turned.webm", lying, standing))
    assert made.frames == 2 * RATE
    for path in (*made.rungs.values(), made.proxy):
        assert lit(last_picture(path)) == [(48, 80), (0, 64)]


def test_a_programme_that_changes_to_wide_pixels_gets_bars_above_and_below(
    make, become, last_picture, tmp_path, is_old
):
    """Off the air the size stays and only the shape of the pixels changes, which builds no graph anew."""
    if not is_old:
        pytest.skip("this ffmpeg hides from filters that the shape of pixels changes")
    coded = ("-c:v", "mpeg2video", "-aspect")
    narrow = make("narrow.ts", *film("96x72", 3), *coded, "4:3")
    wide = make("wide.ts", *film("96x72", 3), *coded, "16:9", "-output_ts_offset", "3")
    programme = tmp_path / "programme.ts"
    programme.write_bytes(narrow.read_bytes() + wide.read_bytes())
    facts, made = become(programme, SETTINGS.model_copy(update={"ladder": (72,)}))
    assert (facts.width, facts.height) == (96, 72)
    for path, width, rows in ((made.rungs["72p"], 96, (9, 63)), (made.proxy, 84, (8, 56))):
        assert np.allclose(lit(last_picture(path)), [(0, width), rows], atol=1)


@pytest.mark.parametrize(("size", "pixels"), [("63x37", "1"), ("37x63", "16/11"), ("180x144", "8/11"), ("400x6", "20")])
def test_a_picture_of_one_shape_fills_every_size_whatever_was_rounded(make, become, last_picture, size, pixels):
    whole = f"format=yuv444p,crop={size.replace('x', ':')},setsar={pixels}"
    _, made = become(make("odd.mkv", *film("400x180"), "-vf", whole, "-c:v", "ffv1"))
    for path in (*made.rungs.values(), made.proxy):
        assert last_picture(path).min() > 128


def with_clean_aperture(source: Path, width: int, height: int) -> Path:
    """Give a copy of a MOV whose header says that only the middle of each picture is to be shown."""
    content = bytearray(source.read_bytes())

    def inner(kind: bytes, begin: int, end: int) -> tuple[int, int]:
        while bytes(content[begin + 4 : begin + 8]) != kind:
            begin += int.from_bytes(content[begin : begin + 4])
            assert begin < end
        return begin, begin + int.from_bytes(content[begin : begin + 4])

    box, around = (-8, len(content)), []
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        box = inner(kind, box[0] + 8, box[1])
        around.append(box[0])
    # Behind a version and a count, the description of the pictures; the aperture goes to its end.
    around.append(box[0] + 16)
    end = around[-1] + int.from_bytes(content[around[-1] : around[-1] + 4])
    # Width, height, and how far its middle lies beside that of the picture, each as a quotient.
    aperture = struct.pack(">I4s8i", 40, b"clap", width, 1, height, 1, 0, 1, 0, 1)
    for at in around:
        content[at : at + 4] = struct.pack(">I", int.from_bytes(content[at : at + 4]) + len(aperture))
    content[end:end] = aperture
    target = source.with_name(f"cropped_{source.name}")
    target.write_bytes(content)
    return target


@pytest.mark.parametrize("name", ["cropped.mov", "cropped.mkv"])
def test_of_a_picture_that_its_header_crops_only_the_inside_is_shown(make, become, last_picture, is_old, name):
    middle = ("-vf", "drawbox=x=0:w=32:c=black:t=fill,drawbox=x=96:w=32:c=black:t=fill")
    wide = make("wide.mov", *film("128x64"), *middle, *H264)
    cropped = make(name, "-i", str(with_clean_aperture(wide, 64, 64)), "-c", "copy") if name.endswith("mkv") else None
    facts, made = become(cropped or with_clean_aperture(wide, 64, 64))
    # ffmpeg 5 neither tells nor crops.
    assert (facts.width, facts.height) == ((128, 64) if is_old else (64, 64))
    columns, _ = lit(last_picture(made.rungs["64p"]))
    assert columns == ((32, 96) if is_old else (0, 64))
