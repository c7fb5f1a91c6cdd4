import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import InvalidMedia
from core.settings import LimitSettings
from media.measuring import measured
from media.probe import read_header
from media.validation import inspect
from tests.media.conftest import H264, written


def verdict(path: Path, tools, limits) -> str:
    with pytest.raises(InvalidMedia) as caught:
        inspect(path, tools, limits)
    assert caught.value.sentence.endswith((".", "!"))
    return caught.value.reason


def test_a_film_is_described(film, tools, limits):
    facts = inspect(film, tools, limits)
    assert (facts.width, facts.height, facts.frame_rate) == (320, 180, 25)
    assert (facts.video_codec, facts.audio_codec) == ("h264", "aac")
    assert facts.duration_s == 3
    assert facts.start_s == 0
    assert facts.is_cuttable
    assert not facts.degraded


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello, this is not a video\n", "not_media"),
        (bytes(range(256)) * 40, "not_media"),
        (b"%PDF-1.7\n" + b"\x80" * 99, "not_media"),
        (b"#EXTM3U\n#EXTINF:6,\nneighbour.ts\n#EXT-X-ENDLIST\n", "playlist_not_allowed"),
        (b"\xef\xbb\xbf \n#EXTM3U\nfile:///etc/passwd\n", "playlist_not_allowed"),
        (b"ffconcat version 1.0\nfile neighbour.mp4\n", "playlist_not_allowed"),
        (b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>', "playlist_not_allowed"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "playlist_not_allowed"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 400, "unsupported_container"),
        (b"RIFF\0\1\0\0WEBPVP8 " + b"\0" * 400, "unsupported_container"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 400, "unsupported_container"),
        (b"ID3\x04" + b"\0" * 400, "no_video_stream"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + b"\0\0\1\0mdat" + b"\7" * 248, "truncated"),
    ],
)
def test_what_is_no_video_gets_a_reason(tmp_path, tools, limits, content, reason):
    assert verdict(written(tmp_path, content), tools, limits) == reason


def test_sound_alone_has_no_video_stream(make, tools, limits):
    path = make("sound.mp4", "-f", "lavfi", "-i", "sine=440:d=1", "-c:a", "aac")
    assert verdict(path, tools, limits) == "no_video_stream"


def test_cover_art_is_no_video_stream(make, tools, limits):
    cover = make("cover.jpg", "-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", "-frames:v", "1")
    sound = make("covered_sound.m4a", "-f", "lavfi", "-i", "sine=440:d=1", "-c:a", "aac")
    path = make(
        "covered.mp4",
        "-i",
        str(sound),
        "-i",
        str(cover),
        "-map",
        "0",
        "-map",
        "1",
        "-c",
        "copy",
        "-disposition:v",
        "attached_pic",
    )
    assert verdict(path, tools, limits) == "no_video_stream"


def test_a_codec_off_the_list_is_refused(make, tools, limits):
    path = make("raw.mkv", "-f", "lavfi", "-i", "testsrc2=r=5:s=64x64:d=1", "-c:v", "rawvideo")
    assert verdict(path, tools, limits) == "unsupported_codec"


def test_a_container_off_the_list_is_refused(make, tools, limits):
    path = make("film.nut", "-f", "lavfi", "-i", "testsrc2=r=5:s=64x64:d=1", *H264)
    assert verdict(path, tools, limits) == "unsupported_container"


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"max_bytes": 1000}, "too_large"),
        ({"max_duration": 2}, "too_long"),
        ({"max_width": 300}, "too_many_pixels"),
        ({"max_frame_rate": 24}, "frame_rate_too_high"),
        ({"max_frames": 74}, "too_many_frames"),
        ({"max_streams": 1}, "too_many_streams"),
        ({"min_bytes_per_s": 10_000_000}, "implausible_header"),
    ],
)
def test_every_limit_has_its_reason(film, tools, limit, reason):
    assert verdict(film, tools, LimitSettings(**limit)) == reason


def test_a_portrait_picture_may_be_as_large_as_a_landscape_one(make, tools):
    path = make("portrait.mp4", "-f", "lavfi", "-i", "testsrc2=r=5:s=180x320:d=1", *H264)
    limits = LimitSettings(max_width=320, max_height=180)
    assert inspect(path, tools, limits).height == 320


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_a_file_cut_off_in_the_middle_is_truncated(film, make, tools, limits, tmp_path, name):
    index_first = ["-movflags", "+faststart"] if name.endswith("mp4") else []
    whole = make(f"whole_{name}", "-i", str(film), "-c", "copy", *index_first).read_bytes()
    assert verdict(written(tmp_path, whole[: len(whole) * 6 // 10], name), tools, limits) == "truncated"


def test_a_loss_within_the_budget_is_a_remark(film, make, tools, tmp_path):
    whole = make("whole_remark.mkv", "-i", str(film), "-c", "copy").read_bytes()
    cut = written(tmp_path, whole[: len(whole) * 8 // 10], "cut.mkv")
    facts = inspect(cut, tools, LimitSettings(error_budget=0.5))
    assert "missing" in facts.degraded[0]


def test_a_rotated_picture_is_described_as_shown(rotated, tools, limits):
    facts = inspect(rotated, tools, limits)
    assert (facts.width, facts.height, facts.rotation) == (180, 320, 90)


def test_an_anamorphic_picture_is_described_with_square_pixels(make, tools, limits):
    path = make("anamorphic.mp4", "-f", "lavfi", "-i", "testsrc2=r=5:s=180x144:d=1", "-vf", "setsar=16/11", *H264)
    assert (inspect(path, tools, limits).width, inspect(path, tools, limits).height) == (262, 144)


def test_a_film_cut_without_encoding_begins_with_pictures_that_are_not_shown(make, tools, limits):
    long_gop = make("long_gop.mp4", "-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=6", *H264, "-g", "500")
    cut = make("cut.mp4", "-ss", "4", "-i", str(long_gop), "-c", "copy")
    assert 1.9 < inspect(cut, tools, limits).duration_s < 2.1


def test_media_time_zero_is_the_first_picture(late_start, negative_start, tools, limits):
    assert float(inspect(late_start, tools, limits).start_s) == pytest.approx(1.4, abs=0.03)
    assert float(inspect(negative_start, tools, limits).start_s) == pytest.approx(-1, abs=0.1)


def test_a_live_recording_without_duration_is_measured(film, make, tools, limits):
    path = make("live.mp4", "-i", str(film), "-c", "copy", "-movflags", "+frag_keyframe+empty_moov")
    assert inspect(path, tools, limits).duration_s == 3


def test_interlacing_is_seen(interlaced, tools, limits):
    assert inspect(interlaced, tools, limits).is_interlaced


def test_interlacing_is_seen_where_most_pictures_have_none(make, tools, limits):
    """A clip of another kind before the programme, as broadcasts have it."""
    size = ("-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=1.5", *H264)
    woven = ("-vf", "tinterlace=interleave_top,setfield=tff", "-flags", "+ildct+ilme", "-output_ts_offset", "1.5")
    parts = make("clip.ts", *size), make("programme.ts", *size, *woven)
    path = parts[0].with_name("broadcast.ts")
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    facts = inspect(path, tools, limits)
    assert facts.is_interlaced
    assert facts.is_cuttable


def test_a_playlist_cannot_read_a_neighbour_even_past_the_sniffer(film, make, tools, limits, tmp_path):
    """The second layer alone: ffmpeg under our allow-list refuses what the sniffer would have caught."""
    from media.allowed import file_arg, guard_args

    neighbour = make("neighbour.ts", "-i", str(film), "-c", "copy")
    playlist = written(
        tmp_path, f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:3,\n{neighbour}\n#EXT-X-ENDLIST\n".encode(), "list.m3u8"
    )
    unguarded = [str(tools.ffprobe), "-v", "error", "-allowed_extensions", "ALL", "-show_format", str(playlist)]
    guarded = [str(tools.ffprobe), "-v", "error", *guard_args(limits), "-show_format", file_arg(playlist)]
    assert b"nb_streams" in subprocess.run(unguarded, capture_output=True, timeout=20, check=False).stdout
    assert subprocess.run(guarded, capture_output=True, timeout=20, check=False).returncode != 0


def test_subtitles_and_cover_art_do_not_matter(film, make, tools, limits, tmp_path):
    words = written(tmp_path, b"1\n00:00:00,000 --> 00:00:01,000\nhello\n", "words.srt")
    cover = make("cover.jpg", "-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", "-frames:v", "1")
    path = make(
        "subtitled.mkv",
        *("-i", str(film), "-i", str(words), "-i", str(cover), "-map", "0", "-map", "1", "-map", "2"),
        *("-c", "copy", "-c:s", "ass", "-disposition:v:1", "attached_pic"),
    )
    facts = inspect(path, tools, limits)
    assert (facts.width, facts.duration_s) == (320, 3)


@pytest.mark.parametrize("container", ["ts", "mkv", "mp4"])
def test_more_streams_than_the_limit_are_named(make, tools, limits, container):
    sound = ("-f", "lavfi", "-i", "sine=440:d=1", "-map", "0", *(36 * ("-map", "1")), "-c:a", "mp2", "-ac", "1")
    path = make(f"many.{container}", "-f", "lavfi", "-i", "testsrc2=r=12:s=64x64:d=1", *sound, *H264)
    assert verdict(path, tools, limits) == "too_many_streams"


def test_fonts_beyond_the_limit_are_left_out(film, make, tools, limits, tmp_path):
    font = written(tmp_path, b"\0\1\0\0" + b"x" * 100, "font.ttf")
    fonts = [word for _ in range(40) for word in ("-attach", str(font))]
    named = ("-metadata:s:t", "mimetype=font/ttf", "-metadata:s:t", "filename=font.ttf")
    assert inspect(make("fonts.mkv", "-i", str(film), "-c", "copy", *fonts, *named), tools, limits).duration_s == 3


def test_packets_are_counted_no_further_than_the_limit(film, tools, tmp_path):
    """An endless table stands for one that no memory holds."""
    endless = tmp_path / "ffprobe"
    endless.write_text("#!/bin/sh\nexec yes video,0,0.000000,0.000000,0.040000,K__\n")
    endless.chmod(0o755)
    limits = LimitSettings(max_frames=1000)
    header = read_header(film, tools, limits)
    with pytest.raises(InvalidMedia) as caught:
        measured(header, film, replace(tools, ffprobe=endless), limits)
    assert caught.value.reason == "too_many_frames"
