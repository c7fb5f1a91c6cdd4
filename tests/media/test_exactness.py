"""From chunks to players: no picture lost, doubled or moved, sound where it was, playlists that hold what they say."""

import json
import re
import subprocess
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from core.settings import MediaSettings
from media.validation import inspect
from tests.media.conftest import Made, make_all
from tests.media.hls_check import read_master

#: Three chunks of 6.5 s: two, two, and what is left.
SETTINGS = MediaSettings(ladder=(90, 60), chunk_s=2, segment_s=1, preset="veryfast", proxy_short_side=64, threads=2)
#: Seconds at which the source flashes and beeps, near its beginning and near its end.
EARLY_S, LATE_S, FLASH_S = 0.5, 5.75, 0.25
NOW = f"between(t,{EARLY_S},{EARLY_S + FLASH_S})+between(t,{LATE_S},{LATE_S + FLASH_S})"
BEEP = ["-f", "lavfi", "-i", f"aevalsrc='0.7*sin(2*PI*1000*t)*({NOW})':s=44100:d=6.5"]
#: Distance between sound and picture that may be added or taken away.
OFFSET_S = 0.020
RATES = {"23.976": "24000/1001", "25": "25", "29.97": "30000/1001", "59.94": "60000/1001", "vfr": "30"}
GOPS = {
    "default": [],
    "b_frames": ["-bf", "4", "-x264-params", "b-adapt=0:b-pyramid=normal"],
    "open": ["-x264-params", "open-gop=1:keyint=33:bframes=3"],
    "long": ["-g", "500"],
}
CONTAINERS = {"mp4": "aac", "mkv": "libopus", "ts": "aac", "mov": "pcm_s16le", "avi": "libmp3lame"}


@dataclass(frozen=True)
class Source:
    """How a source is made; its name says what is special about it."""

    rate: str = "25"
    gop: str = "default"
    container: str = "mp4"
    #: Seconds by which the pictures, or the sound, begin late on the source's clock.
    video_late_s: float = 0
    audio_late_s: float = 0

    @property
    def name(self) -> str:
        late = [f"{kind}{value:g}" for kind, value in (("v", self.video_late_s), ("a", self.audio_late_s)) if value]
        return "_".join(["flash", self.rate, self.gop, *late]) + f".{self.container}"

    @property
    def args(self) -> list[str]:
        flash = f"drawbox=c=white:t=fill:enable='{NOW}'"
        drop = ",select='lt(mod(t,3),1)+not(mod(n,4))'" if self.rate == "vfr" else ""
        moved = f"{flash}{drop},setpts=PTS+{self.video_late_s}/TB"
        codec = ["-c:a", CONTAINERS[self.container]]
        # AVI knows one rate and no times; all others keep each picture's own.
        rate = [] if self.container == "avi" else ["-fps_mode", "passthrough"]
        timing = (
            ["-avoid_negative_ts", "disabled", "-muxdelay", "0", "-muxpreload", "0"] if self.container == "ts" else []
        )
        return [
            *("-f", "lavfi", "-i", f"color=black:s=160x90:r={RATES[self.rate]}:d=6.5"),
            *("-itsoffset", str(self.audio_late_s), *BEEP, "-vf", moved, *rate, "-c:v", "libx264"),
            *("-preset", "veryfast", "-pix_fmt", "yuv420p", *GOPS[self.gop], *codec, *timing),
        ]


DEFAULT = [
    Source("29.97", "b_frames", "mkv", audio_late_s=0.3),
    Source("vfr", "default", "mp4", video_late_s=0.3),
    Source("23.976", "open", "ts", video_late_s=-0.2),
]
MATRIX = [
    *(Source(r, g, c) for r, g, c in product(RATES, GOPS, CONTAINERS) if (r, c) != ("vfr", "avi")),
    *(Source(r, "b_frames", c, v, a) for r, c in product(RATES, ("mkv", "mp4")) for v, a in ((0.3, 0), (0, 0.3))),
    *(Source(r, "b_frames", "ts", v, 0) for r in RATES for v in (-0.2, 0.3)),
]
CASES = [
    *(pytest.param(case, id=case.name) for case in DEFAULT),
    *(pytest.param(case, id=case.name, marks=pytest.mark.long) for case in MATRIX if case not in DEFAULT),
]


@pytest.fixture
def made(make, tools, limits, tmp_path):
    def made(source: Path, settings: MediaSettings = SETTINGS) -> Made:
        return make_all(source, inspect(source, tools, limits), settings, tmp_path, tools, limits)

    return made


@pytest.fixture
def pictures(tools):
    """Times at which the pictures of a file are shown, from the first one on; nothing is decoded."""

    def pictures(path: Path) -> list[float]:
        command = [str(tools.ffprobe), "-v", "error", "-select_streams", "V:0", "-show_entries", "packet=pts_time"]
        answer = subprocess.run([*command, "-of", "json", path], capture_output=True, check=True, timeout=20)
        times = sorted(float(p["pts_time"]) for p in json.loads(answer.stdout)["packets"])
        return [time - times[0] for time in times]

    return pictures


@pytest.fixture
def delays(tools):
    """Seconds by which each beep follows its flash."""

    def delays(pictures: Path, sound: Path) -> list[float]:
        def ends(path: Path, *filters: str) -> list[float]:
            command = [
                str(tools.ffmpeg),
                "-nostdin",
                "-hide_banner",
                "-copyts",
                "-i",
                path,
                *filters,
                "-f",
                "null",
                "-",
            ]
            said = subprocess.run(command, capture_output=True, check=True, timeout=30, text=True).stderr
            return [float(s) for s in re.findall(r"(?:black_end:|silence_end: )(-?[\d.]+)", said)]

        dark = ends(pictures, "-map", "0:V:0", "-vf", "blackdetect=d=0.1", "-fps_mode", "passthrough")
        silent = ends(sound, "-map", "0:a:0", "-af", "silencedetect=noise=-30dB:d=0.1")
        return [heard - seen for seen, heard in zip(dark[:2], silent[:2], strict=True)]

    return delays


@pytest.mark.parametrize("case", CASES)
def test_what_is_assembled_from_chunks_is_what_one_line_of_ffmpeg_makes(
    case, make, made, pictures, delays, tools, tmp_path
):
    source = make(case.name, *case.args)
    result = made(source)
    whole = tmp_path / "whole.mp4"
    line = [str(tools.ffmpeg), "-nostdin", "-v", "error", "-copyts", "-i", str(source), "-map", "0:V:0"]
    line += ["-vf", "setpts=PTS-STARTPTS", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    line += ["-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-video_track_timescale", "90000", str(whole)]
    subprocess.run(line, check=True, timeout=60)
    expected = pictures(whole)
    assert len(expected) == result.frames
    for path in (*result.rungs.values(), result.proxy, result.film):
        # A tick of the source's own clock may be rounded to the next of ours.
        assert pictures(path) == pytest.approx(expected, abs=1.5e-5)
    truth = delays(source, source)
    assert len(truth) == 2
    for seen, heard in ((result.film, result.film), (next(iter(result.rungs.values())), result.audio)):
        assert delays(seen, heard) == pytest.approx(truth, abs=OFFSET_S)


@pytest.mark.parametrize("case", [*CASES[:1], pytest.param(Source("59.94"), id="59.94"), CASES[1]])
def test_the_playlists_keep_every_promise(case, make, made, tools, is_old):
    result = made(make(case.name, *case.args))
    variants, audio = read_master(result.film.with_name("master.m3u8"), tools.ffprobe)
    assert [v.attributes["RESOLUTION"] for v in variants] == ["160x90", "106x60"]
    assert audio is not None
    for info in variants:
        near = 0.05 if is_old else 0.001
        assert float(info.playlist.duration_s) == pytest.approx(float(result.duration_s), abs=near)
        assert float(info.attributes["FRAME-RATE"]) == pytest.approx(
            {"29.97": 29.97, "59.94": 59.94, "vfr": 30}[case.rate], abs=0.02
        )
    assert 0 <= float(result.duration_s - 1) <= float(audio.duration_s) <= 7


def test_a_rung_loses_nothing_against_a_bare_encode(make, made, tools, tmp_path):
    # Sharp movement is what a ceiling, a border or a doubled scaling would show in first.
    source = make(
        "moving.mp4",
        *("-f", "lavfi", "-i", "mandelbrot=s=320x180:r=25:end_scale=0.003", "-t", "7", "-c:v", "libx264"),
        *("-preset", "veryfast", "-crf", "12", "-pix_fmt", "yuv420p"),
    )
    settings = SETTINGS.model_copy(update={"ladder": (180, 90)})
    result = made(source, settings)
    line = [str(tools.ffmpeg), "-nostdin", "-v", "error", "-i", str(source), "-filter_complex"]
    line += ["[0:v]split[v0][c0];[c0]scale=160:90[v1]"]
    for index, cap in enumerate((300, 100)):
        line += ["-map", f"[v{index}]", "-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-maxrate", f"{cap}k"]
        line += ["-bufsize", f"{2 * cap}k", "-g", "1000", "-sc_threshold", "0", "-flags", "+cgop"]
        line += ["-force_key_frames", "expr:gte(t,n_forced*1)", str(tmp_path / f"bare{index}.mp4")]
    subprocess.run(line, check=True, timeout=60)

    def likeness(path: Path, size: str) -> float:
        graph = f"[0:v]scale={size},settb=1/90000,setpts=N*3600[r];[1:v]settb=1/90000,setpts=N*3600[m];[m][r]ssim"
        command = [
            str(tools.ffmpeg),
            "-nostdin",
            "-i",
            str(source),
            "-i",
            str(path),
            "-lavfi",
            graph,
            "-f",
            "null",
            "-",
        ]
        said = subprocess.run(command, capture_output=True, check=True, timeout=60, text=True).stderr
        return float(re.findall(r"All:([\d.]+)", said)[-1])

    for index, (rung, size) in enumerate(zip(result.rungs.values(), ("320:180", "160:90"), strict=True)):
        assert likeness(rung, size) >= likeness(tmp_path / f"bare{index}.mp4", size) - 0.002
