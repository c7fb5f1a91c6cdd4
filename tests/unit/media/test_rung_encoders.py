from pathlib import Path
from typing import get_args

import pytest

from core.errors import MissingDependency
from core.settings import MediaSettings, Preset, RungEncoder
from core.values import Rung
from media.rung_encoders import PROXY_ENCODER, codec_string, require_encoder, rung_args
from media.tools import Tools
from media.transcode import proxy_args

RUNG = Rung(name="720p", width=1280, height=720, crf=23, max_bitrate_kbps=3000)
CAP = ["-maxrate", "3000k", "-bufsize", "6000k"]


@pytest.mark.parametrize(
    ("encoder", "quality"),
    [
        ("libx264", ["-preset", "veryfast", "-crf", "23", *CAP, "-sc_threshold", "0"]),
        (
            "h264_nvenc",
            [
                *("-preset", "p2", "-tune", "hq", "-rc", "vbr", "-cq", "23", "-b:v", "0", *CAP),
                *("-forced-idr", "1", "-no-scenecut", "1"),
            ],
        ),
        ("libsvtav1", ["-preset", "8", "-crf", "32", *CAP, "-svtav1-params", "scd=0"]),
    ],
)
def test_every_encoder_holds_a_quality_under_a_ceiling(encoder, quality):
    args = rung_args(RUNG, MediaSettings(encoder=encoder))
    shape = ["-pix_fmt", "yuv420p", *([] if encoder == "libsvtav1" else ["-profile:v", "high"])]
    assert args == ["-c:v", encoder, *quality, *shape]


@pytest.mark.parametrize("encoder", get_args(RungEncoder))
def test_every_preset_has_its_like_in_every_encoder(encoder):
    for preset in get_args(Preset):
        assert "-preset" in rung_args(RUNG, MediaSettings(encoder=encoder, preset=preset))


def test_a_slower_preset_is_never_a_faster_one_elsewhere():
    speeds = [rung_args(RUNG, MediaSettings(encoder="libsvtav1", preset=p)) for p in get_args(Preset)]
    numbers = [int(args[args.index("-preset") + 1]) for args in speeds]
    assert numbers == sorted(numbers, reverse=True)


def test_quality_stays_within_the_scale_of_the_encoder():
    worst = RUNG.model_copy(update={"crf": 51})
    args = rung_args(worst, MediaSettings(encoder="libsvtav1"))
    assert int(args[args.index("-crf") + 1]) <= 63


def test_the_proxy_is_made_by_x264_whatever_makes_the_rungs():
    assert proxy_args()[:2] == ["-c:v", "libx264"]


@pytest.mark.parametrize("encoder", [name for name in get_args(RungEncoder) if name != PROXY_ENCODER])
def test_an_encoder_that_ffmpeg_lacks_is_named_with_what_mends_it(encoder):
    tools = Tools(
        ffmpeg=Path("/opt/ffmpeg"), ffprobe=Path("/opt/ffprobe"), version="9.9", encoders=frozenset({PROXY_ENCODER})
    )
    with pytest.raises(MissingDependency) as caught:
        require_encoder(MediaSettings(encoder=encoder), tools)
    for word in ("/opt/ffmpeg", encoder, "DAILIES_MEDIA__FFMPEG", "DAILIES_MEDIA__ENCODER"):
        assert word in str(caught.value)


@pytest.mark.parametrize("encoder", get_args(RungEncoder))
def test_the_encoder_of_the_proxy_is_needed_whatever_makes_the_rungs(encoder):
    tools = Tools(
        ffmpeg=Path("/opt/ffmpeg"), ffprobe=Path("/opt/ffprobe"), version="9.9", encoders=frozenset({"libsvtav1"})
    )
    with pytest.raises(MissingDependency, match="built without libx264: set DAILIES_MEDIA__FFMPEG to"):
        require_encoder(MediaSettings(encoder=encoder), tools)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        # marker and version; profile and level; tier, depth and chroma; delay (AV1 in ISO BMFF, 2.3)
        ("81 05 0c 00", "av01.0.05M.08"),
        ("81 08 4c 00", "av01.0.08M.10"),
        ("81 2d ec 00", "av01.1.13H.12"),
    ],
)
def test_a_configuration_record_names_its_codec(record, expected):
    assert codec_string(bytes.fromhex(record)) == expected
