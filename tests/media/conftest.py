"""Synthetic sources, made once per session; what they hold is known by construction."""

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from core.settings import LimitSettings, MediaSettings
from media.tools import Tools, find_tools

#: One second each of black, grey and white: cuts are exactly at 1 s and 2 s.
THREE_SHOTS = "color=black:r=24:s=320x180:d=1[a];color=gray:r=24:s=320x180:d=1[b];color=white:r=24:s=320x180:d=1[c];"
THREE_SHOTS += "[a][b][c]concat=n=3"
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]

Make = Callable[..., Path]


@pytest.fixture(scope="session")
def tools() -> Tools:
    return find_tools(MediaSettings(threads=2))


@pytest.fixture(scope="session")
def limits() -> LimitSettings:
    return LimitSettings()


@pytest.fixture(scope="session")
def make(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Run ffmpeg with these arguments and the output's name; each name is made once."""
    folder = tmp_path_factory.mktemp("sources")

    def make(name: str, *args: str) -> Path:
        target = folder / name
        if not target.exists():
            command = [str(tools.ffmpeg), "-nostdin", "-v", "error", "-y", *args, str(target)]
            subprocess.run(command, check=True, timeout=60)
        return target

    return make


@pytest.fixture(scope="session")
def film(make: Make) -> Path:
    """Three seconds with sound and B-frames."""
    return make(
        "film.mp4",
        *("-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=3", "-f", "lavfi", "-i", "sine=440:d=3"),
        *("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "25", "-c:a", "aac"),
    )


@pytest.fixture(scope="session")
def three_shots(make: Make) -> Path:
    return make("three_shots.mp4", "-f", "lavfi", "-i", THREE_SHOTS, *H264)


@pytest.fixture(scope="session")
def variable_rate(make: Make) -> Path:
    """30 frames/s in the first second, 10 after it; B-frames."""
    return make(
        "variable_rate.mp4",
        *("-f", "lavfi", "-i", "testsrc2=r=30:s=320x180:d=4"),
        *(
            "-vf",
            "select='lt(t,1)+not(mod(n,3))'",
            "-fps_mode",
            "passthrough",
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
        ),
        *("-pix_fmt", "yuv420p"),
    )


@pytest.fixture(scope="session")
def late_start(make: Make) -> Path:
    """Pictures begin 1.4 s into the file, sound at once."""
    return make(
        "late_start.mkv",
        *("-itsoffset", "1.4", "-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=2"),
        *("-f", "lavfi", "-i", "sine=440:d=3.4", "-map", "0", "-map", "1", *H264, "-c:a", "aac"),
    )


@pytest.fixture(scope="session")
def negative_start(make: Make) -> Path:
    """The first pictures lie before zero on the source's clock."""
    return make(
        "negative_start.ts",
        *("-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=3", "-vf", "setpts=PTS-1/TB", "-fps_mode", "passthrough"),
        *("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-avoid_negative_ts", "disabled"),
        *("-muxdelay", "0", "-muxpreload", "0", "-f", "mpegts"),
    )


@pytest.fixture(scope="session")
def rotated(film: Path) -> Path:
    """The film with another display matrix in its track header: a quarter turn, as telephones write it."""
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, -(1 << 16), 0, 1 << 16, 0, 0, 0, 0, 1 << 30)
    content = film.read_bytes()
    # The first matrix is the movie's, the second that of the first track, the pictures.
    at = content.index(upright, content.index(upright) + 1)
    target = film.with_name("rotated.mp4")
    target.write_bytes(content[:at] + turned + content[at + len(turned) :])
    return target


@pytest.fixture(scope="session")
def interlaced(make: Make) -> Path:
    return make(
        "interlaced.mp4",
        *("-f", "lavfi", "-i", "testsrc2=r=50:s=320x180:d=2", "-vf", "tinterlace=interleave_top,setfield=tff"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-flags", "+ildct+ilme", "-pix_fmt", "yuv420p"),
    )
