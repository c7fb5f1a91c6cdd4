"""Rungs by every encoder that this ffmpeg has: they join, they start at the same times, the playlist names them."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import EncoderKilled, MissingDependency
from core.settings import MediaSettings
from media.rung_encoders import require_encoder
from tests.media.test_chunks import LONG, SETTINGS, SOUND, chunked, packets, picture  # noqa: F401 fixtures


@pytest.fixture
def keyframes(tools):
    def keyframes(path: Path) -> list[float]:
        command = [
            str(tools.ffprobe),
            "-v",
            "error",
            "-select_streams",
            "V:0",
            "-show_entries",
            "packet=pts_time,flags",
        ]
        answer = subprocess.run([*command, "-of", "json", path], capture_output=True, check=True, timeout=20)
        return [float(p["pts_time"]) for p in json.loads(answer.stdout)["packets"] if "K" in p["flags"]]

    return keyframes


@pytest.mark.parametrize(
    ("encoder", "codec"), [("libx264", r"avc1\.64[0-9a-f]{4}"), ("libsvtav1", r"av01\.0\.\d\dM\.08")]
)
def test_keyframes_stand_at_the_same_times_in_every_rung(encoder, codec, make, tools, chunked, keyframes, packets):  # noqa: F811
    try:
        require_encoder(MediaSettings(encoder=encoder), tools)
    except MissingDependency as error:
        pytest.skip(str(error))
    settings = SETTINGS.model_copy(update={"encoder": encoder, "ladder": (180, 90)})
    source = make("29.97_180.mkv", *picture("30000/1001", "320x180"), *SOUND, *LONG, "-c:a", "aac")
    result = chunked(source, settings=settings)
    largest, smallest = result.rungs.values()
    # A picture on each border or the first one after it, and none but those.
    assert keyframes(largest) == pytest.approx([0, 1, 2, 3, 4, 5, 6], abs=1 / 29)
    assert keyframes(largest) == keyframes(smallest)
    assert keyframes(result.proxy) == pytest.approx([half / 2 for half in range(13)], abs=1 / 29)
    assert packets(largest) == packets(smallest) == packets(result.proxy) == packets(result.film)
    master = result.film.with_name("master.m3u8").read_text()
    assert all(re.fullmatch(rf"{codec},mp4a\.40\.2", found) for found in re.findall(r'CODECS="(.*?)"', master))


def test_an_encoder_that_is_listed_and_does_not_run_is_named(tools):
    # What an ffmpeg with NVENC says on a machine without the card is not what this one says; that it fails is the same.
    promising = replace(tools, encoders=tools.encoders | {"h264_nvenc"})
    if "h264_nvenc" in tools.encoders:
        pytest.skip("this ffmpeg has NVENC: whether it runs depends on the machine")
    with pytest.raises(MissingDependency, match="h264_nvenc does not run on this machine"):
        require_encoder(MediaSettings(encoder="h264_nvenc"), promising)


@pytest.mark.parametrize("encoder", ["libx264", "libsvtav1"])
def test_an_encoder_that_works_is_let_through(encoder, tools, is_old):
    setting = MediaSettings(encoder=encoder)
    if encoder not in tools.encoders:
        with pytest.raises(MissingDependency, match="built without"):
            require_encoder(setting, tools)
    elif encoder == "libsvtav1" and is_old:
        with pytest.raises(MissingDependency, match="made 1 keyframes of 3"):
            require_encoder(setting, tools)
    else:
        require_encoder(setting, tools)


@pytest.mark.parametrize(("ends", "error"), [("kill -KILL $$", EncoderKilled), ("kill -ILL $$", MissingDependency)])
def test_a_trial_that_was_ended_from_outside_says_nothing_of_the_encoder(ends, error, tools, tmp_path):
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{ends}\n")
    program.chmod(0o755)
    dying = replace(tools, ffmpeg=program, encoders=frozenset({"libx264", "h264_nvenc"}))
    with pytest.raises(error):
        require_encoder(MediaSettings(encoder="h264_nvenc"), dying)


@pytest.mark.parametrize("fragments", [0, 1, 16])
def test_an_encoder_that_sets_keyframes_elsewhere_is_refused(fragments, tools, tmp_path):
    """As that of SVT-AV1 in ffmpeg 5.1, which cannot be told where."""
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nprintf '" + r"\000\000\000\010moof" * fragments + "'\n")
    program.chmod(0o755)
    stubborn = replace(tools, ffmpeg=program, encoders=frozenset({"libx264", "libsvtav1"}))
    with pytest.raises(MissingDependency, match=f"made {fragments} keyframes of 3"):
        require_encoder(MediaSettings(encoder="libsvtav1"), stubborn)


def test_an_encoder_that_writes_something_else_is_named(tools, tmp_path):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho no film\n")
    program.chmod(0o755)
    strange = replace(tools, ffmpeg=program, encoders=frozenset({"libx264", "libsvtav1"}))
    with pytest.raises(MissingDependency, match="does not run on this machine"):
        require_encoder(MediaSettings(encoder="libsvtav1"), strange)
