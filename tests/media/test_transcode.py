import json
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from core.errors import EncoderRejected, EncoderStalled, InvalidMedia
from core.settings import LimitSettings, MediaSettings
from media.chunks import chunks_for, encode_chunk
from media.ladder import rungs_for
from media.timing import frame_times
from media.validation import inspect
from tests.media.conftest import H264, Made, make_all

SETTINGS = MediaSettings(ladder=(180, 90), preset="ultrafast", proxy_short_side=64, threads=2)


@pytest.fixture
def made(tools, limits, tmp_path):
    """Validate a source and make everything of it."""

    def made(source: Path, limits: LimitSettings = limits) -> Made:
        folder = tmp_path / f"made of {source.name}"
        folder.mkdir()
        return make_all(source, inspect(source, tools, limits), SETTINGS, folder, tools, limits)

    return made


@pytest.fixture
def packets(tools):
    """Presentation times of one stream, ascending, as ffprobe counts them."""

    def packets(path: Path, stream: str = "V:0") -> list[Fraction]:
        command = [str(tools.ffprobe), "-v", "error", "-select_streams", stream, "-show_entries", "packet=pts_time"]
        answer = subprocess.run([*command, "-of", "json", path], capture_output=True, check=True, timeout=20)
        return sorted(Fraction(p["pts_time"]) for p in json.loads(answer.stdout)["packets"] if "pts_time" in p)

    return packets


def since_first(times: list[Fraction]) -> list[float]:
    return [float(time - times[0]) for time in times]


def test_one_run_makes_every_rung_and_the_proxy(film, made, tools):
    result = made(film)
    assert list(result.rungs) == ["180p", "90p"]
    assert result.frames == 75
    assert result.duration_s == 3
    assert not result.degraded
    streams = {path: ["h264,yuv420p"] for path in (*result.rungs.values(), result.proxy)}
    streams |= {result.audio: ["aac"], result.film: ["h264,yuv420p", "aac"]}
    for path, expected in streams.items():
        command = [str(tools.ffprobe), "-v", "error", "-show_entries", "stream=codec_name,pix_fmt", "-of", "csv=p=0"]
        found = subprocess.run([*command, path], capture_output=True, check=True, timeout=20, text=True)
        assert found.stdout.split() == expected
        # The index stands in front of the media, so that a browser starts at once.
        head = path.read_bytes()
        assert head.index(b"moov") < head.index(b"mdat")


def test_rungs_without_proxy_and_proxy_without_rungs(film, tools, limits, tmp_path):
    facts = inspect(film, tools, limits)
    folders = [tmp_path / name for name in ("alone", "rungs")]
    for folder in folders:
        folder.mkdir()
    alone = make_all(film, facts, SETTINGS, folders[0], tools, limits, rungs=())
    assert alone.proxy is not None
    assert not alone.rungs
    assert alone.frames == 75
    rung = rungs_for(facts, SETTINGS)[:1]
    rungs = make_all(film, facts, SETTINGS, folders[1], tools, limits, rungs=rung, with_proxy=False)
    assert rungs.proxy is None
    assert list(rungs.rungs) == ["180p"]
    assert rungs.duration_s == alone.duration_s


def test_a_variable_frame_rate_is_kept(variable_rate, made, packets):
    result = made(variable_rate)
    expected = since_first(packets(variable_rate))
    assert len(expected) == 60
    for path in (*result.rungs.values(), result.proxy):
        assert since_first(packets(path)) == pytest.approx(expected, abs=1e-5)


def test_keyframes_stand_on_segment_borders_alone(film, made, tools):
    for path in made(film).rungs.values():
        command = [
            str(tools.ffprobe),
            "-v",
            "error",
            "-select_streams",
            "V:0",
            "-show_entries",
            "packet=pts_time,flags",
        ]
        rows = subprocess.run(
            [*command, "-of", "csv=p=0", path], capture_output=True, check=True, timeout=20
        ).stdout.decode()
        assert [float(row.split(",")[0]) for row in rows.split() if "K" in row] == [0, 2]


@pytest.mark.parametrize("source", ["late_start", "negative_start", "film"])
def test_the_first_picture_is_at_zero_and_none_is_lost(source, made, packets, request):
    path = request.getfixturevalue(source)
    result = made(path)
    expected = since_first(packets(path))
    for made_path in (*result.rungs.values(), result.proxy):
        times = packets(made_path)
        assert times[0] == 0
        assert since_first(times) == pytest.approx(expected, abs=1e-4)


def test_sound_that_begins_before_the_pictures_is_cut_and_stays_in_step(late_start, made, packets):
    result = made(late_start)
    sound = packets(result.film, "a:0")
    # Two seconds of pictures: sound ends with them, within a packet of AAC (1024 / 48000 s) and its priming.
    assert float(sound[-1]) == pytest.approx(2.0, abs=0.045)


def test_sound_that_begins_later_keeps_its_distance(make, made, tools):
    source = make(
        "late_sound.mkv",
        *("-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=2", "-itsoffset", "0.5", "-f", "lavfi", "-i", "sine=440:d=1"),
        *("-map", "0", "-map", "1", *H264, "-c:a", "aac"),
    )
    path = made(source).film
    command = [str(tools.ffmpeg), "-v", "info", "-i", path, "-af", "silencedetect=n=-40dB:d=0.2", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, check=True, timeout=20, text=True).stderr
    assert float(said.split("silence_end: ")[1].split()[0]) == pytest.approx(0.5, abs=0.02)


def test_sound_longer_than_the_pictures_does_not_stretch_the_video(make, made):
    source = make(
        "long_sound.mp4",
        *(
            "-f",
            "lavfi",
            "-i",
            "testsrc2=r=25:s=320x180:d=1",
            "-f",
            "lavfi",
            "-i",
            "sine=440:d=3",
            *H264,
            "-c:a",
            "aac",
        ),
    )
    assert made(source).duration_s == 1


def test_a_single_picture_is_a_video(make, made):
    source = make("one.mp4", "-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=1", "-frames:v", "1", *H264)
    result = made(source)
    assert (result.frames, float(result.duration_s)) == (1, 0.04)


def test_an_odd_size_becomes_even(make, made, tools):
    source = make(
        "odd.webm", "-f", "lavfi", "-i", "testsrc2=r=25:s=213x119:d=1", "-c:v", "libvpx", "-deadline", "realtime"
    )
    result = made(source)
    assert list(result.rungs) == ["90p"]
    assert result.frames == 25


def test_rotation_is_applied_and_not_repeated(rotated, made, tools):
    path = made(rotated).rungs["180p"]
    command = [str(tools.ffprobe), "-v", "error", "-show_entries", "stream=width,height:stream_side_data=rotation"]
    stream = json.loads(
        subprocess.run([*command, "-of", "json", path], capture_output=True, check=True, timeout=20).stdout
    )["streams"][0]
    assert (stream["width"], stream["height"]) == (180, 320)
    assert not stream.get("side_data_list")


def test_interlaced_pictures_are_woven_apart(interlaced, made, tools, tmp_path):
    result = made(interlaced)
    assert result.frames == 50
    command = [str(tools.ffmpeg), "-v", "info", "-i", result.rungs["180p"], "-vf", "idet", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, check=True, timeout=20, text=True).stderr
    counts = said.split("Multi frame detection:")[-1].split()
    assert int(counts[counts.index("Progressive:") + 1]) > 40


def test_fields_that_come_after_a_while_are_woven_apart(make, made, tools, tmp_path):
    """A recording off the air begins with a programme in pictures and goes on in fields."""
    common = ("-c:v", "mpeg2video", "-q:v", "4", "-pix_fmt", "yuv420p")
    pictures = make("pictures.ts", "-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=4", *common)
    woven = ("-vf", "tinterlace=interleave_top,setfield=tff", "-flags", "+ilme+ildct", "-output_ts_offset", "4")
    fields = make("fields.ts", "-f", "lavfi", "-i", "testsrc2=r=50:s=320x180:d=4", *woven, *common)
    source = tmp_path / "recorded.ts"
    source.write_bytes(pictures.read_bytes() + fields.read_bytes())
    result = made(source)
    assert result.frames == 200
    command = [
        str(tools.ffmpeg),
        "-v",
        "info",
        "-ss",
        "4",
        "-i",
        result.rungs["180p"],
        "-vf",
        "idet",
        "-f",
        "null",
        "-",
    ]
    said = subprocess.run(command, capture_output=True, check=True, timeout=20, text=True).stderr
    counts = said.split("Multi frame detection:")[-1].split()
    assert int(counts[counts.index("Progressive:") + 1]) > 85


def test_a_clock_that_starts_again_loses_no_picture(make, made):
    part = make("part.ts", "-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=1", *H264)
    source = part.with_name("restarted.ts")
    source.write_bytes(part.read_bytes() * 2)
    result = made(source)
    assert result.frames == 50
    assert float(result.duration_s) == pytest.approx(2, abs=0.05)


def damaged(source: Path, target: Path, *, share: float) -> Path:
    """Overwrite a share of the middle of the file with zeros."""
    content = bytearray(source.read_bytes())
    start = len(content) * 4 // 10
    length = int(len(content) * share)
    content[start : start + length] = bytes(length)
    target.write_bytes(content)
    return target


def test_damage_beyond_the_budget_is_rejected(make, made, tmp_path):
    source = make("long.ts", "-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=4", *H264, "-g", "10")
    with pytest.raises(InvalidMedia) as caught:
        made(damaged(source, tmp_path / "broken.ts", share=0.4))
    assert caught.value.reason in {"damaged", "truncated"}


def test_damage_within_the_budget_is_a_remark(make, made, tmp_path):
    source = make("long.mp4", "-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=4", *H264, "-g", "10")
    result = made(damaged(source, tmp_path / "scratched.mp4", share=0.01))
    assert "damaged" in result.degraded[0]


def test_more_frames_than_allowed_stop_the_run(make, made):
    source = make("many.mkv", "-f", "lavfi", "-i", "testsrc2=r=60:s=320x180:d=10", *H264)
    with pytest.raises(InvalidMedia) as caught:
        made(source, LimitSettings(max_frames=200))
    assert caught.value.reason == "too_many_frames"


def test_progress_is_told(film, tools, limits, tmp_path):
    seen = []
    facts = inspect(film, tools, limits)
    [chunk] = chunks_for(facts, SETTINGS)
    common = {"settings": SETTINGS, "limits": limits, "folder": tmp_path, "tools": tools}
    encode_chunk(film, facts, chunk, (), with_proxy=True, on_progress=seen.append, **common)
    assert seen[-1].frame == 75
    assert seen[-1].out_time_s == pytest.approx(3, abs=0.1)


def test_exact_times_agree_with_ffprobe(film, variable_rate, made, packets):
    for source in (film, variable_rate):
        result = made(source)
        for path in (*result.rungs.values(), result.proxy):
            times = frame_times(path)
            assert [float(times.at(i)) for i in range(len(times))] == pytest.approx(
                since_first(packets(path)), abs=1e-6
            )


def test_sound_that_cannot_be_decoded_is_left_out(film, make, made, packets):
    source = make("noise.mkv", "-i", str(film), "-c", "copy", "-bsf:a", "noise=amount=1")
    result = made(source)
    assert result.frames == 75
    assert result.audio is None
    assert packets(result.film, "a:0") == []


@pytest.mark.parametrize("sound", ["aac", None])
def test_pictures_that_cannot_be_decoded_are_a_verdict(film, make, tools, limits, tmp_path, sound):
    facts = inspect(film, tools, limits).model_copy(update={"audio_codec": sound})
    source = make("noisy.mkv", "-i", str(film), "-c", "copy", "-bsf:v", "noise=amount=3")
    with pytest.raises(InvalidMedia) as caught:
        make_all(source, facts, SETTINGS, tmp_path, tools, limits, rungs=())
    assert caught.value.reason == "damaged"


def test_what_our_settings_break_is_no_verdict_on_the_video(film, tools, limits, tmp_path):
    facts = inspect(film, tools, limits)
    wrong = MediaSettings.model_construct(**{**SETTINGS.model_dump(), "preset": "sluggish"})
    rungs = rungs_for(facts, SETTINGS)
    with pytest.raises(EncoderRejected, match=r"Error setting preset/tune sluggish[^\n]*\n"):
        make_all(film, facts, wrong, tmp_path, tools, limits, rungs=rungs)


def test_a_frozen_ffmpeg_is_no_verdict_on_the_video(film, tools, limits, tmp_path):
    facts = inspect(film, tools, limits)
    # Frozen before it can read a byte: the program that is run stops itself.
    frozen = tmp_path / "ffmpeg"
    frozen.write_text("#!/bin/sh\nkill -STOP $$\n")
    frozen.chmod(0o755)
    broken = replace(tools, ffmpeg=frozen, stall_timeout_s=0.5)
    with pytest.raises(EncoderStalled):
        make_all(film, facts, SETTINGS, tmp_path, broken, limits, rungs=())
