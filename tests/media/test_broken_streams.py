"""Sources whose pictures are whole, while something beside them is broken: other streams, or a single time."""

import re
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from core.errors import InvalidMedia
from core.settings import MediaSettings
from media.ends import is_read_through
from media.probe import read_header
from media.timing import fragments_of, frame_times
from media.validation import inspect
from tests.media.conftest import H264, written

SETTINGS = MediaSettings(ladder=(32,), preset="ultrafast", proxy_short_side=64, threads=2)
FRAGMENTED = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof")
SOUND = ("-f", "lavfi", "-i", "sine=440:d=1", "-c:a", "aac")
#: What the header of a track of AAC says it holds, and the same with MPEG-2 pictures in its place.
AAC, PICTURES = b"\x40\x15", b"\x61\x15"
WILD_S = 6000
#: Frames per second of the sources, and their length.
RATE, LENGTH_S = 12, 1


@pytest.fixture(scope="module")
def short(make) -> Path:
    pictures = ("-f", "lavfi", "-i", f"testsrc2=r={RATE}:s=64x64:d={LENGTH_S}")
    return make("short.mp4", *pictures, *SOUND, *H264, "-g", "6")


def altered(source: Path, tmp_path: Path, content: bytes) -> Path:
    assert content != source.read_bytes()
    return written(tmp_path, content)


def lost_pictures(made) -> int:
    return RATE * LENGTH_S - made.frames


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("plain.mp4", ()),
        ("fragmented.mp4", FRAGMENTED),
        ("late.mp4", ("-output_ts_offset", "0.4")),
    ],
)
def test_sound_that_no_decoder_takes_is_left_out(make, short, tmp_path, become, tools, limits, name, flags):
    source = make(name, "-i", str(short), "-c", "copy", *flags)
    facts, made = become(altered(source, tmp_path, source.read_bytes().replace(AAC, PICTURES)))
    assert facts.audio_codec is None
    assert "sound" in facts.degraded[0]
    assert (lost_pictures(made), made.audio) == (0, None)
    assert frame_times(made.proxy).first == 0
    assert facts.duration_s == inspect(source, tools, limits).duration_s


def test_sound_off_the_list_is_left_out(make, short, become):
    source = make("strange_sound.mkv", "-i", str(short), "-c:v", "copy", "-c:a", "dfpwm", "-strict", "-2")
    facts, made = become(source)
    assert (facts.audio_codec, lost_pictures(made)) == (None, 0)
    assert "sound" in facts.degraded[0]


def test_a_stream_off_the_list_does_not_cost_the_sound(make, short, tmp_path, become):
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    maps = ("-map", "0:v", "-map", "0:a", "-map", "1:a")
    more = ("-c", "copy", "-c:a:1", "dfpwm", "-strict", "-2")
    facts, made = become(make("two_sounds.mkv", "-i", str(short), *SOUND[:4], *maps, *more))
    assert facts.audio_codec == "aac"
    assert made.audio is not None
    assert not facts.degraded


def test_pictures_off_the_list_are_refused_whatever_lies_beside_them(make, short, tools, limits, tmp_path):
    path = make("raw_beside.mkv", "-i", str(short), "-c:v", "rawvideo", "-c:a", "copy")
    with pytest.raises(InvalidMedia) as caught:
        inspect(path, tools, limits)
    assert caught.value.reason == "unsupported_codec"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wild_s", [30, WILD_S])
@pytest.mark.parametrize("which", [0, 5, 6, 11])
def test_one_picture_with_a_wild_time_moves_no_other(make, short, tmp_path, become, which, wild_s):
    source = make("short.ts", "-i", str(short), "-c", "copy")
    facts, made = become(altered(source, tmp_path, with_wild_time(source.read_bytes(), b"\0\0\1\xe0", which, wild_s)))
    assert lost_pictures(made) == 0
    assert 0 < facts.duration_s < 2 * LENGTH_S
    assert 0 < made.duration_s < 2 * LENGTH_S
    assert not made.degraded


def test_sound_with_a_wild_time_is_not_followed_by_hours_of_silence(make, short, tmp_path, become):
    source = make("short.ts", "-i", str(short), "-c", "copy")
    _, made = become(altered(source, tmp_path, with_wild_time(source.read_bytes(), b"\0\0\1\xc0", 1)))
    assert lost_pictures(made) == 0
    assert made.audio.stat().st_size < 100_000


@pytest.mark.parametrize("chunk_s", [60, 8])
def test_a_time_that_is_off_by_less_than_the_film_is_long_moves_no_other_either(
    make, tmp_path, become, tools, limits, chunk_s
):
    source = make("long.ts", "-f", "lavfi", "-i", f"testsrc2=r={RATE}:s=64x64:d=40", *H264, "-g", "6", "-bf", "0")
    start_s = inspect(source, tools, limits).start_s
    broken = with_wild_time(source.read_bytes(), b"\0\0\1\xe0", 7 * RATE, int(start_s) + 30)
    facts, made = become(altered(source, tmp_path, broken), SETTINGS.model_copy(update={"chunk_s": chunk_s}))
    assert facts.duration_s == pytest.approx(Fraction(40), abs=0.1)
    times = frame_times(made.proxy)
    assert [float(times.at(index)) for index in range(len(times))] == pytest.approx(
        [index / RATE for index in range(40 * RATE)], abs=0.01
    )
    assert not made.degraded


@pytest.mark.parametrize("chunk_s", [60, 4])
def test_a_clock_that_starts_again_in_a_container_without_an_index_loses_no_picture(make, tmp_path, become, chunk_s):
    source = make("long.flv", "-f", "lavfi", "-i", f"testsrc2=r={RATE}:s=64x64:d=20", *H264, "-g", "6", "-bf", "0")
    broken = with_clock_moved(source.read_bytes(), 11_000, -11_000)
    _, made = become(altered(source, tmp_path, broken), SETTINGS.model_copy(update={"chunk_s": chunk_s}))
    assert made.frames == 20 * RATE
    assert frame_times(made.proxy).duration == pytest.approx(20, abs=0.2)


@pytest.mark.parametrize("wild_s", [40 * 3600, 1 << 42], ids=["days", "ages"])
@pytest.mark.parametrize("tracks", [{1}, {1, 2}], ids=["pictures", "both"])
def test_a_clock_that_leaps_to_the_end_loses_no_picture(make, short, tmp_path, become, wild_s, tracks):
    content = make("fragmented.mp4", "-i", str(short), "-c", "copy", *FRAGMENTED).read_bytes()
    facts, made = become(written(tmp_path, with_fragments_moved(content, tracks, {1}, wild_s)))
    assert lost_pictures(made) == 0
    assert not facts.is_cuttable
    assert ["clock" in remark for remark in (*facts.degraded, *made.degraded)] == [True]
    for found_s in (facts.duration_s, made.duration_s):
        assert found_s == pytest.approx(LENGTH_S, abs=0.2)
    assert made.audio.stat().st_size < 100_000


@pytest.mark.parametrize("which", [{0}, {1}, {2}, {1, 2}, {3}], ids=str)
def test_a_clock_that_leaps_and_comes_back_rejects_no_video(make, tmp_path, become, which):
    pictures = ("-f", "lavfi", "-i", "testsrc2=r=12:s=64x64:d=2")
    content = make("four.mp4", *pictures, *H264, "-bf", "0", "-g", "6", *FRAGMENTED).read_bytes()
    facts, made = become(written(tmp_path, with_fragments_moved(content, {1}, which, 40 * 3600)))
    # ffmpeg throws away the fragment behind one that it takes for a later one.
    assert made.frames >= 18
    assert any("clock" in remark for remark in facts.degraded)
    assert 0 < made.duration_s < 3


def test_a_clock_that_leaps_in_a_container_without_an_index_loses_no_picture(make, tmp_path, become):
    pictures = ("-f", "lavfi", "-i", f"testsrc2=r={RATE}:s=64x64:d=20")
    content = make("long.flv", *pictures, *H264, "-g", "6", "-bf", "0").read_bytes()
    facts, made = become(written(tmp_path, with_clock_moved(content, 11_000, 40 * 3_600_000)))
    assert made.frames == 20 * RATE
    assert made.duration_s == pytest.approx(20, abs=0.2)
    assert any("clock" in remark for remark in facts.degraded)


def test_a_recording_that_begins_long_before_its_first_keyframe_has_the_size_it_shows_there(make, tmp_path, become):
    pictures = ("-f", "lavfi", "-i", "testsrc2=r=25:s=64x64:d=150", "-vf", "setsar=4/3", *H264, "-g", "150")
    content = make("long_gop.ts", *pictures, "-muxdelay", "0").read_bytes()
    # From the second picture on: the size is said at keyframes alone, six seconds apart.
    second = content.index(b"\0\0\1\xe0", content.index(b"\0\0\1\xe0") + 1) // 188 * 188
    facts, made = become(written(tmp_path, content[: 3 * 188] + content[second:]))
    assert (facts.width, facts.height) == (85, 64)
    assert made.frames == 24 * 150
    assert facts.degraded == ("The first 6.0 seconds cannot be decoded: the video begins behind them.",)
    assert made.degraded == ()


@pytest.mark.parametrize("container", ["ts", "mkv", "mp4", "mpg"])
def test_a_single_picture_over_much_sound_is_a_video(make, become, container):
    streams = ("-f", "lavfi", "-i", "testsrc2=r=25:s=64x64:d=0.04", "-f", "lavfi", "-i", "sine=d=20")
    codecs = ("-c:v", "mpeg2video", "-c:a", "mp2") if container == "mpg" else (*H264, "-c:a", "aac")
    _, made = become(make(f"still.{container}", *streams, *codecs))
    assert made.frames == 1


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_what_lies_before_the_first_keyframe_is_no_damage_of_the_rest(make, tmp_path, become, share):
    pictures = ("-f", "lavfi", "-i", "testsrc2=r=25:s=64x64:d=20", *H264, "-g", "250")
    content = make("two_gops.ts", *pictures).read_bytes()
    _, made = become(written(tmp_path, content[: 3 * 188] + content[int(share * len(content)) // 188 * 188 :]))
    assert made.frames == 250
    assert made.degraded == ()


@pytest.mark.parametrize(("name", "flags"), [("whole.mkv", ()), ("live.mkv", ("-live", "1"))])
def test_a_finished_matroska_file_is_not_read_through_for_its_clock(make, short, tools, limits, name, flags):
    path = make(name, "-i", str(short), "-c", "copy", *flags)
    assert is_read_through(read_header(path, tools, limits), path) == bool(flags)


@pytest.mark.parametrize("chunk_s", [60, 2])
def test_a_recorder_that_began_anew_in_one_file_loses_no_picture(make, tmp_path, become, chunk_s):
    pictures = ("-f", "lavfi", "-i", "testsrc2=r=25:s=64x64:d=6", "-f", "lavfi", "-i", "sine=d=6")
    live = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "25", "-c:a", "libopus", "-live", "1")
    twice = 2 * make("live.webm", *pictures, *live).read_bytes()
    _, made = become(written(tmp_path, twice), SETTINGS.model_copy(update={"chunk_s": chunk_s}))
    assert made.frames == 300
    assert made.duration_s == pytest.approx(12, abs=0.1)
    assert float(sum(f.duration_s for f in fragments_of(made.audio))) == pytest.approx(12, abs=0.1)


@pytest.mark.parametrize("late_s", ["20000", "200000000", "20000000000"])
def test_a_clock_that_begins_ages_ago_is_as_good_as_any(make, short, become, late_s):
    facts, made = become(make("ages.mkv", "-i", str(short), "-c", "copy", "-output_ts_offset", late_s))
    assert (lost_pictures(made), facts.audio_codec) == (0, "aac")
    assert made.duration_s == pytest.approx(LENGTH_S, abs=0.2)
    assert made.audio.stat().st_size < 100_000


def test_channels_that_nobody_says_how_to_mix_are_heard_all_the_same(make, become):
    nine = "|".join(["0.1*sin(2764*t)"] * 9)
    pictures = ("-f", "lavfi", "-i", f"testsrc2=r={RATE}:s=64x64:d={LENGTH_S}")
    sound = ("-f", "lavfi", "-i", f"aevalsrc=exprs={nine}:s=48000:d={LENGTH_S}", "-c:a", "pcm_s16le")
    facts, made = become(make("nine.mov", *pictures, *sound, *H264))
    assert (facts.audio_codec, lost_pictures(made)) == ("pcm_s16le", 0)
    assert made.audio is not None
    assert not made.degraded


@pytest.mark.parametrize(("late_s", "apart_s"), [(0, 4), (0.5, 4), (0, 0)], ids=["one clock", "late", "three clocks"])
def test_sound_that_changes_its_layout_goes_on_where_it_is(make, tmp_path, become, tools, late_s, apart_s):
    """As television does between programmes, and two recordings in one file: ffmpeg then builds its graph anew."""
    content = b""
    for number, layout in enumerate(("stereo", "5.1", "stereo")):
        begin_s = 1 + apart_s * number
        sound = ("-itsoffset", str(0 if number else late_s), "-f", "lavfi", "-i", "sine=440:r=48000:d=4", "-t", "4")
        shape = ("-af", f"aformat=channel_layouts={layout}", "-c:a", "ac3", "-output_ts_offset", str(begin_s))
        pictures = ("-f", "lavfi", "-i", f"testsrc2=r={RATE}:s=64x64:d=4")
        content += make(f"{layout}.ts", *pictures, *sound, *H264, "-bf", "0", *shape).read_bytes()
    source = tmp_path / "upload"
    source.write_bytes(content)
    _, made = become(source)
    command = [str(tools.ffprobe), "-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0"]
    told = subprocess.run([*command, made.audio], capture_output=True, check=True, timeout=20, text=True).stdout
    times = [float(row) for row in told.replace(",", "").split()]
    assert times[0] == 0
    assert times[-1] == pytest.approx(12, abs=0.1)
    assert len(times) == pytest.approx(12 * 48_000 / 1024, abs=8)
    assert all(after - before > 0.02 for before, after in pairwise(times))


def with_clock_moved(content: bytes, from_ms: int, by_ms: int) -> bytes:
    """Move the clock of an FLV from the first tag on that is dated so."""
    broken, at = bytearray(content), 13
    while at < len(broken):
        size = int.from_bytes(broken[at + 1 : at + 4])
        time = int.from_bytes(broken[at + 7 : at + 8] + broken[at + 4 : at + 7])
        if time >= from_ms:
            moved = (time + by_ms).to_bytes(4)
            broken[at + 4 : at + 8] = moved[1:] + moved[:1]
        at += 11 + size + 4
    return bytes(broken)


def with_fragments_moved(content: bytes, tracks: set[int], which: set[int], by_s: int) -> bytes:
    """Move the times of these tracks in these fragments (tfdt, ISO/IEC 14496-12, 8.8.12)."""
    moved, scales = bytearray(content), {}
    for found in re.finditer(rb"tkhd\0...", content, re.DOTALL):
        track = int.from_bytes(content[found.end() + 8 : found.end() + 12])
        at = content.index(b"mdhd", found.end()) + 16
        scales[track] = int.from_bytes(content[at : at + 4])
    for number, found in enumerate(re.finditer(rb"tfhd....(....).{,40}?tfdt\x01...", content, re.DOTALL)):
        track = int.from_bytes(found[1])
        if number // len(scales) in which and track in tracks:
            time = int.from_bytes(content[found.end() : found.end() + 8]) + by_s * scales[track]
            moved[found.end() : found.end() + 8] = time.to_bytes(8)
    assert moved != content
    return bytes(moved)


def with_wild_time(content: bytes, start_code: bytes, which: int, wild_s: int = WILD_S) -> bytes:
    """Move PTS and DTS of one packet of a transport stream's PES (ISO/IEC 13818-1, 2.4.3.7)."""
    at = -1
    for _ in range(which + 1):
        at = content.index(start_code, at + 1)
    stamps = range(at + 9, at + 9 + content[at + 8], 5)
    broken = bytearray(content)
    for stamp in stamps:
        broken[stamp : stamp + 5] = written_stamp(content[stamp] >> 4, wild_s * 90_000)
    return bytes(broken)


def written_stamp(mark: int, ticks: int) -> bytes:
    return bytes(
        [
            mark << 4 | (ticks >> 30 & 7) << 1 | 1,
            ticks >> 22 & 0xFF,
            (ticks >> 15 & 0x7F) << 1 | 1,
            ticks >> 7 & 0xFF,
            (ticks & 0x7F) << 1 | 1,
        ]
    )


def test_a_pause_within_the_video_is_no_wild_time(make, short, become, is_old):
    """The control: two pictures far apart stay as far apart."""
    source = make("pause.mp4", "-i", str(short), "-an", "-bsf:v", r"setts=ts='TS+if(gte(N,6),15/TB,0)'", "-c", "copy")
    facts, made = become(source)
    assert facts.duration_s == pytest.approx(LENGTH_S + 15, abs=0.1)
    assert Fraction(made.duration_s) == pytest.approx(LENGTH_S + 15, abs=1.5 if is_old else 0.1)
