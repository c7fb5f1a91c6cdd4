"""Which sound is heard, and that it keeps its distance from the pictures, whatever the container says."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from core.settings import MediaSettings
from tests.media.conftest import H264, written

SETTINGS = MediaSettings(ladder=(32,), preset="ultrafast", proxy_short_side=64, threads=2)
PICTURES = ("-f", "lavfi", "-i", "testsrc2=r=12:s=64x64:d=16")
#: Silence, but for half a second from 5 s on.
BEEP = ("-f", "lavfi", "-i", "aevalsrc='0.7*sin(6283*t)*between(t,5,5.5)':s=44100:d=7")
RATE, LOUD = 8000, 3000


@pytest.fixture
def heard_at(tools):
    """Give when a file beeps, in seconds."""

    def heard_at(path: Path) -> float:
        command = [str(tools.ffmpeg), "-nostdin", "-v", "error", "-copyts", "-i", str(path), "-map", "0:a:0"]
        command += ["-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"]
        wave = np.frombuffer(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout, np.int16)
        return float(np.flatnonzero(np.abs(wave.astype(np.int32)) > LOUD)[0]) / RATE

    return heard_at


@pytest.mark.parametrize("late_s", [0, 0.5, 6, 9])
@pytest.mark.parametrize("container", ["mkv", "ts", "flv", "mp4"])
def test_sound_that_begins_behind_what_is_probed_keeps_its_distance(make, become, heard_at, tools, container, late_s):
    late = ("-itsoffset", str(late_s), *BEEP)
    source = make(f"late_{late_s}.{container}", *PICTURES, *late, *H264, "-bf", "0", "-c:a", "aac")
    command = [str(tools.ffprobe), "-v", "error", "-select_streams", "v", "-read_intervals", "%+0.1"]
    command += ["-show_entries", "packet=pts_time", "-of", "csv=p=0", str(source)]
    told = subprocess.run(command, capture_output=True, check=True, timeout=20, text=True).stdout
    first_s = min(float(row.strip(",")) for row in told.split())
    _, made = become(source)
    expected = pytest.approx(heard_at(source) - first_s, abs=0.02)
    assert heard_at(made.audio) == expected
    assert heard_at(made.film) == expected


def test_sound_whose_beginning_is_damaged_keeps_its_distance(make, become, heard_at, tools, tmp_path):
    good = make("beep.mp4", *PICTURES, *BEEP, *H264, "-c:a", "aac")
    command = [str(tools.ffprobe), "-v", "error", "-select_streams", "a", "-show_entries", "packet=pos,size"]
    told = subprocess.run([*command, "-of", "csv=p=0", str(good)], capture_output=True, check=True, text=True).stdout
    content = bytearray(good.read_bytes())
    for row in told.split()[:40]:
        size, at = (int(field) for field in row.strip(",").split(",")[:2])
        content[at : at + size] = b"\xff" * size
    _, made = become(written(tmp_path, content))
    assert heard_at(made.audio) == pytest.approx(5, abs=0.02)
    assert heard_at(made.film) == pytest.approx(5, abs=0.02)


SILENCE = ("-f", "lavfi", "-i", "anullsrc=r=44100")


def test_the_sound_of_the_programme_with_the_pictures_is_heard(make, become, heard_at):
    programmes = ("-program", "title=Radio:st=0", "-program", "title=Television:st=1:st=2")
    streams = ("-map", "0", "-map", "1", "-map", "2", "-shortest", "-c:a", "aac")
    _, made = become(make("radio_first.ts", *SILENCE, *PICTURES, *BEEP, *streams, *H264, *programmes))
    assert heard_at(made.audio) == pytest.approx(5, abs=0.05)


def test_sound_that_is_accepted_is_heard_behind_one_that_is_not(make, become, heard_at):
    codecs = ("-c:a:0", "dfpwm", "-strict", "-2", "-c:a:1", "aac")
    streams = ("-map", "0", "-map", "1", "-map", "2", "-shortest")
    _, made = become(make("strange_first.mkv", *PICTURES, *SILENCE, *BEEP, *streams, *H264, *codecs))
    assert heard_at(made.audio) == pytest.approx(5, abs=0.02)
