"""Chunks that join without a seam: the same pictures at the same times as one encode of the whole."""

import json
import logging
import re
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from unittest.mock import Mock

import pytest

from core.errors import EncoderRejected, EncoderStalled, InvalidMedia
from core.settings import MediaSettings
from media.chunks import chunk_args, chunks_for, encode_chunk
from media.joining import join
from media.ladder import rungs_for
from media.seeking import Seeker
from media.validation import inspect
from tests.media.conftest import H264, Made, Make, make_all, turned

SETTINGS = MediaSettings(ladder=(90, 60), chunk_s=2, segment_s=1, preset="veryfast", proxy_short_side=64, threads=2)
WHOLE = SETTINGS.model_copy(update={"chunk_s": 60})
LONG = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]


def picture(rate: str, size: str = "160x90") -> list[str]:
    return ["-f", "lavfi", "-i", f"testsrc2=r={rate}:s={size}:d=6.5"]


SOUND = ["-f", "lavfi", "-i", "sine=440:d=6.5"]
SOURCES = {
    "23.976.mp4": [*picture("24000/1001"), *SOUND, *LONG, "-c:a", "aac"],
    "29.97.mkv": [*picture("30000/1001"), *SOUND, *LONG, "-c:a", "aac"],
    "59.94.mp4": [*picture("60000/1001"), *LONG, "-bf", "3"],
    "vfr.mp4": [*picture("30"), *SOUND, "-vf", "select='lt(mod(t,3),1)+not(mod(n,4))'", "-fps_mode", "passthrough", *LONG],
    "gap.mkv": [*picture("30"), "-vf", "select='lt(t,1.5)+gt(t,4.5)'", "-fps_mode", "passthrough", *LONG],
    "long_gop.ts": [*picture("25"), *SOUND, *LONG, "-g", "500", "-c:a", "aac"],
    "open_gop.mp4": [*picture("25"), *LONG, "-x264-params", "open-gop=1:keyint=33:bframes=3"],
    "late_sound_160.mkv": [*picture("25"), "-itsoffset", "0.7", *SOUND, *LONG, "-c:a", "aac"],
    "ten_bits.mkv": [
        *(*picture("25"), *LONG, "-pix_fmt", "yuv420p10le", "-color_primaries", "bt2020", "-color_trc", "smpte2084"),
        *("-colorspace", "bt2020nc"),
    ],
    "interlaced.ts": [
        *(*picture("50", "160x96"), "-vf", "tinterlace=interleave_top,setfield=tff", *LONG, "-flags", "+ildct+ilme"),
    ],
    "anamorphic.mp4": [*picture("25", "120x90"), "-vf", "setsar=4/3", *LONG],
}  # fmt: skip


@pytest.fixture
def packets(tools):
    def packets(path: Path, stream: str = "V:0") -> list[float]:
        command = [str(tools.ffprobe), "-v", "error", "-select_streams", stream, "-show_entries", "packet=pts_time"]
        answer = subprocess.run([*command, "-of", "json", path], capture_output=True, check=True, timeout=20)
        return sorted(float(p["pts_time"]) for p in json.loads(answer.stdout)["packets"])

    return packets


@pytest.fixture
def look(tools):
    """What players are told of the pictures."""

    def look(path: Path) -> dict[str, object]:
        fields = (
            "stream=width,height,pix_fmt,sample_aspect_ratio,color_range,color_space,color_transfer,color_primaries"
        )
        command = [str(tools.ffprobe), "-v", "error", "-select_streams", "V:0", "-show_entries", fields]
        answer = subprocess.run([*command, "-of", "json", path], capture_output=True, check=True, timeout=20)
        return json.loads(answer.stdout)["streams"][0]

    return look


@pytest.fixture
def scratched(tools, tmp_path):
    """Overwrite the pictures of a time with zeros."""

    def scratched(source: Path, from_s: float, until_s: float) -> Path:
        command = [str(tools.ffprobe), "-v", "error", "-select_streams", "V:0", "-show_entries"]
        command += ["packet=pts_time,pos,size", "-of", "json", str(source)]
        answer = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=20).stdout)
        content = bytearray(source.read_bytes())
        for packet in answer["packets"]:
            if from_s <= float(packet["pts_time"]) < until_s:
                at, size = int(packet["pos"]), int(packet["size"])
                content[at : at + size] = bytes(size)
        target = tmp_path / f"scratched_{source.name}"
        target.write_bytes(content)
        return target

    return scratched


@pytest.fixture
def runs(tools, limits, tmp_path, caplog):
    """Count how often each chunk of a source is encoded."""

    def runs(source: Path) -> list[int]:
        facts, counts = inspect(source, tools, limits), []
        for chunk in chunks_for(facts, SETTINGS):
            folder = tmp_path / f"runs of {chunk.index}"
            folder.mkdir()
            caplog.clear()
            with caplog.at_level(logging.INFO, "media.process"):
                common = {"settings": SETTINGS, "limits": limits, "tools": tools, "folder": folder}
                encode_chunk(source, facts, chunk, (), with_proxy=True, **common)
            # Other threads of this process speak too: an event client of a test before, say, whose server is gone.
            told = [record for record in caplog.records if record.name == "media.process"]
            counts.append(sum(record.program == tools.ffmpeg.name for record in told))
        return counts

    return runs


@pytest.fixture
def packets_read(tools, limits, tmp_path):
    """Count the packets that are decoded for all chunks of a source together."""

    def packets_read(source: Path, settings: MediaSettings) -> int:
        facts, total = inspect(source, tools, limits), 0
        seeker = Seeker(source, facts.container, tools, limits)
        for chunk in chunks_for(facts, settings):
            begin = Fraction(facts.start_s) + Fraction(chunk.start_s)
            seek_s = next(seeker.starts(begin)) if chunk.index else None
            about = {"settings": settings, "limits": limits, "tools": tools}
            args = chunk_args(source, facts, chunk, (), with_proxy=True, seek_s=seek_s, **about)
            command = [str(tools.ffmpeg), "-nostdin", "-y", *args]
            done = subprocess.run(command, capture_output=True, check=True, timeout=60, cwd=tmp_path, text=True)
            total += int(re.search(r"\(video\): (\d+) packets read", done.stderr)[1])
        return total

    return packets_read


@pytest.fixture
def chunked(tools, limits, tmp_path):
    def chunked(source: Path, settings: MediaSettings = SETTINGS) -> Made:
        folder = tmp_path / f"chunks of {settings.chunk_s} s"
        folder.mkdir()
        return make_all(source, inspect(source, tools, limits), settings, folder, tools, limits)

    return chunked


@pytest.mark.parametrize("name", SOURCES)
def test_joined_chunks_equal_one_encode_of_the_whole(name, make, tools, limits, chunked, packets, look):
    source = make(name, *SOURCES[name])
    facts = inspect(source, tools, limits)
    assert len(chunks_for(facts, SETTINGS)) == 3
    expected = chunked(source, WHOLE)
    result = chunked(source)
    assert result.frames == expected.frames
    # How long the last picture of a variable rate lasts is a guess of older versions of ffmpeg.
    assert float(result.duration_s) == pytest.approx(float(expected.duration_s), abs=0.05)
    assert result.degraded == expected.degraded
    for rung, path in result.rungs.items():
        assert packets(path) == packets(expected.rungs[rung])
        assert look(path) == look(expected.rungs[rung])
        assert {"pix_fmt": "yuv420p", "sample_aspect_ratio": "1:1"}.items() <= look(path).items()
    assert packets(result.proxy) == packets(expected.proxy)
    assert packets(result.film) == packets(expected.rungs["90p"])
    if facts.audio_codec:
        sound = packets(expected.film, "a:0")
        for made in (packets(result.film, "a:0"), packets(result.audio, "a:0")):
            assert made[0] == 0
            assert made[-1] == pytest.approx(sound[-1], abs=0.002)


def test_a_turned_source_is_turned_in_every_chunk(make, chunked, packets, look):
    source = turned(make("23.976.mp4", *SOURCES["23.976.mp4"]))
    expected, result = chunked(source, WHOLE), chunked(source)
    for rung, path in result.rungs.items():
        assert packets(path) == packets(expected.rungs[rung])
        assert look(path)["width"] < look(path)["height"]


def test_pictures_that_begin_long_after_the_sound_are_all_there(make, chunked, packets):
    pictures = ["-itsoffset", "3.5", "-f", "lavfi", "-i", "testsrc2=r=25:s=64x64:d=12.5"]
    source = make("late_pictures.mkv", *pictures, "-f", "lavfi", "-i", "sine=d=16", *LONG, "-c:a", "aac")
    expected = chunked(source, WHOLE)
    result = chunked(source, SETTINGS.model_copy(update={"chunk_s": 4}))
    assert packets(result.proxy) == packets(expected.proxy)


@pytest.mark.parametrize("chunk_s", [3, 60])
def test_after_a_gap_keyframes_stand_on_borders_alone(make, tools, chunked, chunk_s):
    paused = ["-vf", "setpts='PTS+if(gte(N,25),4/TB,0)'", "-frames:v", "75", "-fps_mode", "passthrough"]
    source = make("paused.mkv", *picture("25"), *paused, *LONG)
    result = chunked(source, SETTINGS.model_copy(update={"chunk_s": chunk_s}))
    for path in result.rungs.values():
        command = [str(tools.ffprobe), "-v", "error", "-show_entries", "packet=pts_time,flags", "-of", "csv=p=0"]
        rows = subprocess.run([*command, path], capture_output=True, check=True, timeout=20, text=True).stdout.split()
        assert [float(row.split(",")[0]) for row in rows if "K" in row] == [0, 5, 6]


@pytest.mark.parametrize("name", ["short_gop.ts", "long_gop.ts", "29.97.mkv", "59.94.mp4"])
def test_each_chunk_of_a_whole_source_is_encoded_once(make, runs, name):
    source = make(name, *SOURCES.get(name, [*picture("25"), *SOUND, *LONG, "-g", "40", "-c:a", "aac"]))
    assert runs(source) == [1, 1, 1]


FEW_KEYFRAMES = ["-f", "lavfi", "-i", "testsrc2=r=5:s=64x64:d=72", *LONG, "-x264-params", "scenecut=0:keyint=%d"]


def with_keyframes(make: Make, name: str, pictures: int) -> Path:
    """Give a source of 72 s and 360 pictures with a keyframe at every so many of them."""
    return make(name, *FEW_KEYFRAMES[:-1], FEW_KEYFRAMES[-1] % pictures)


@pytest.mark.parametrize("gop", [360, 120], ids=["one keyframe", "one in 24 s"])
@pytest.mark.parametrize("name", ["few.mkv", "few.mp4", "few.ts", "few.flv"])
def test_few_keyframes_do_not_make_chunks_decode_one_another(make, packets_read, name, gop):
    source = with_keyframes(make, name, gop)
    assert 360 <= packets_read(source, SETTINGS.model_copy(update={"chunk_s": 4})) < 1.25 * 360


def test_a_source_of_few_keyframes_is_cut_behind_them_without_a_seam(make, tools, limits, chunked, packets):
    source = with_keyframes(make, "few.mp4", 120)
    cut = SETTINGS.model_copy(update={"chunk_s": 4})
    facts = inspect(source, tools, limits)
    assert [chunk.start_s for chunk in chunks_for(facts, cut)] == [0, 25, 49]
    expected, result = chunked(source, WHOLE), chunked(source, cut)
    assert (result.frames, result.degraded) == (360, ())
    for rung, path in result.rungs.items():
        assert packets(path) == packets(expected.rungs[rung])
    assert packets(result.proxy) == packets(expected.proxy)


@pytest.mark.parametrize("name", ["usual.mkv", "usual.mp4", "usual.ts"])
def test_usual_keyframes_change_no_chunk(make, tools, limits, name):
    facts = inspect(with_keyframes(make, name, 50), tools, limits)
    assert facts.long_gops == ()
    assert len(chunks_for(facts, SETTINGS.model_copy(update={"chunk_s": 4}))) == 18


@pytest.mark.parametrize(
    "error", [InvalidMedia("damaged"), EncoderRejected("damaged"), EncoderStalled("slow")], ids=repr
)
def test_keyframes_that_cannot_be_found_change_no_verdict(make, tools, limits, monkeypatch, error):
    source = with_keyframes(make, "few.mkv", 120)
    assert inspect(source, tools, limits).long_gops
    monkeypatch.setattr("media.validation.long_gops", Mock(side_effect=error))
    facts = inspect(source, tools, limits)
    assert (facts.is_cuttable, facts.long_gops) == (True, ())


def test_two_recordings_in_one_stream_lose_no_picture(make, chunked):
    part = make("part.ts", *picture("25"), *LONG)
    source = part.with_name("joined.ts")
    source.write_bytes(part.read_bytes() * 2)
    assert chunked(source).frames == 2 * 163


def test_damage_at_a_border_is_a_remark(make, chunked, scratched, runs):
    # The keyframe from which the second chunk is decoded, and all up to the next one, lie on both sides of 2 s.
    source = scratched(make("bordered.mp4", *picture("25"), *LONG, "-g", "6", "-bf", "0"), 1.91, 2.16)
    result = chunked(source)
    assert result.frames == 163 - 6
    assert result.degraded == ("6 of 163 pictures are damaged.",)
    assert runs(source) == [1, 2, 1]


@pytest.mark.parametrize("settings", [SETTINGS, WHOLE], ids=["cut", "whole"])
def test_a_loss_in_one_stretch_counts_once(make, chunked, scratched, settings):
    pictures = ["-f", "lavfi", "-i", "testsrc2=r=25:s=64x64:d=14"]
    source = scratched(make("stretch.mp4", *pictures, *LONG, "-g", "1"), 5.71, 6.27)
    # 14 of 350 pictures are 4 %, and the budget is 5 %.
    result = chunked(source, settings)
    assert result.frames == 336
    assert result.degraded == ("14 of 350 pictures are damaged.",)


def test_pieces_of_another_version_of_ffmpeg_join(make, tools, limits, tmp_path):
    source = make("23.976.mp4", *SOURCES["23.976.mp4"])
    facts = inspect(source, tools, limits)
    common = {"settings": SETTINGS, "limits": limits, "tools": tools}
    pieces = []
    for chunk in chunks_for(facts, SETTINGS)[:2]:
        folder = tmp_path / str(chunk.index)
        folder.mkdir()
        encode_chunk(source, facts, chunk, (), with_proxy=True, folder=folder, **common)
        pieces.append(folder / "proxy.mp4")
    expected = join(pieces, tmp_path / "joined.mp4", 0).read_bytes()
    content, changed = re.subn(rb"(Lav[cf]\d)\d", rb"\g<1>z", pieces[1].read_bytes())
    assert changed
    pieces[1].write_bytes(content)
    assert join(pieces, tmp_path / "upgraded.mp4", 0).read_bytes() == expected


def test_every_joined_picture_decodes_without_a_complaint(make, tools, chunked):
    result = chunked(make("29.97.mkv", *SOURCES["29.97.mkv"]))
    for path in (*result.rungs.values(), result.film, result.proxy):
        command = [str(tools.ffmpeg), "-nostdin", "-v", "warning", "-copyts", "-i", path, "-map", "0:v"]
        done = subprocess.run(
            [*command, "-fps_mode", "passthrough", "-f", "null", "-"], capture_output=True, check=True
        )
        assert done.stderr == b""


def test_playlists_name_every_byte_once(make, chunked, packets):
    result = chunked(make("23.976.mp4", *SOURCES["23.976.mp4"]))
    folder = result.film.parent
    master = (folder / "master.m3u8").read_text()
    assert re.findall(r"RESOLUTION=(\S+?),", master) == ["160x90", "106x60"]
    assert re.findall(r"FRAME-RATE=([\d.]+)", master) == ["23.976"] * 2
    assert all(re.fullmatch(r"avc1\.[0-9a-f]{6},mp4a\.40\.2", c) for c in re.findall(r'CODECS="(.*?)"', master))
    peaks = [int(n) for n in re.findall(r"[:,]BANDWIDTH=(\d+)", master)]
    means = [int(n) for n in re.findall(r"AVERAGE-BANDWIDTH=(\d+)", master)]
    assert all(peak >= mean > 0 for peak, mean in zip(peaks, means, strict=True))
    for name in ("90p", "60p", "audio"):
        playlist = (folder / f"{name}.m3u8").read_text()
        ranges = [(int(o), int(n)) for n, o in re.findall(r"BYTERANGE[:=]\"?(\d+)@(\d+)", playlist)]
        at = 0
        for offset, size in ranges:
            assert offset == at
            at += size
        assert at == (folder / f"{name}.mp4").stat().st_size
        lengths = [float(n) for n in re.findall(r"#EXTINF:([\d.]+)", playlist)]
        assert sum(lengths) == pytest.approx(float(result.duration_s), abs=0.05)
        assert max(lengths) <= int(re.search(r"TARGETDURATION:(\d+)", playlist)[1])


def test_the_master_playlist_plays(make, tools, chunked):
    result = chunked(make("23.976.mp4", *SOURCES["23.976.mp4"]))
    command = [
        str(tools.ffmpeg),
        "-nostdin",
        "-v",
        "error",
        "-i",
        result.film.with_name("master.m3u8"),
        "-map",
        "0:v:0",
        "-map",
        "0:a:0",
    ]
    done = subprocess.run([*command, "-f", "null", "-", "-progress", "-"], capture_output=True, check=True, text=True)
    assert re.findall(r"^frame=(\d+)", done.stdout, re.MULTILINE)[-1] == str(result.frames)
    assert done.stderr == ""


def test_a_chunk_that_is_made_again_is_the_same(make, tools, limits, tmp_path):
    source = make("23.976.mp4", *SOURCES["23.976.mp4"])
    facts = inspect(source, tools, limits)
    # With several threads x264 looks at how far the others are when it holds to its ceiling: pictures and times are
    # the same then, single bytes need not be.
    alone = replace(tools, threads=1)
    made = []
    for attempt in ("first", "second"):
        folder = tmp_path / attempt
        folder.mkdir()
        chunk = chunks_for(facts, SETTINGS)[1]
        rungs = rungs_for(facts, SETTINGS)
        encode_chunk(
            source, facts, chunk, rungs, with_proxy=True, settings=SETTINGS, limits=limits, folder=folder, tools=alone
        )
        made.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert made[0] == made[1]


def test_pieces_made_with_other_settings_do_not_join(make, tools, limits, tmp_path):
    source = make("23.976.mp4", *SOURCES["23.976.mp4"])
    facts = inspect(source, tools, limits)
    pieces = []
    for side in (60, 80):
        folder = tmp_path / str(side)
        folder.mkdir()
        settings = SETTINGS.model_copy(update={"proxy_short_side": side})
        chunk = chunks_for(facts, SETTINGS)[0]
        encode_chunk(
            source, facts, chunk, (), with_proxy=True, settings=settings, limits=limits, folder=folder, tools=tools
        )
        pieces.append(folder / "proxy.mp4")
    with pytest.raises(EncoderRejected, match="other settings"):
        join(pieces, tmp_path / "joined.mp4", 0)


def test_the_error_budget_counts_all_chunks_together(make, tools, tmp_path, chunked):
    source = make("scratched.ts", *picture("25"), *H264, "-g", "10")
    content = bytearray(source.read_bytes())
    content[len(content) // 3 : len(content) * 2 // 3] = bytes(len(content) // 3)
    broken = tmp_path / "broken.ts"
    broken.write_bytes(content)
    with pytest.raises(InvalidMedia) as caught:
        chunked(broken)
    assert caught.value.reason in {"damaged", "truncated"}
