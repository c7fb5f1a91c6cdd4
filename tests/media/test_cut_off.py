"""Uploads that end too soon, in containers whose header ffprobe makes fit what is left; and those that only seem to."""

import struct

import pytest

from core.errors import InvalidMedia
from core.settings import MediaSettings
from media.validation import inspect
from tests.media.conftest import make_all

SETTINGS = MediaSettings(ladder=(32,), preset="ultrafast", proxy_short_side=64, threads=2)
RATE, LENGTH_S = 12, 20
PICTURES = ("-f", "lavfi", "-i", f"testsrc2=r={RATE}:s=64x64:d={LENGTH_S}")
SOUND = ("-f", "lavfi", "-i", f"sine=440:d={LENGTH_S}")
SOURCES = {
    "plain.avi": (*PICTURES, *SOUND, "-c:v", "mpeg4", "-g", "12", "-c:a", "libmp3lame"),
    "b_frames.avi": (*PICTURES, *SOUND, "-c:v", "mpeg4", "-g", "12", "-bf", "2", "-c:a", "libmp3lame"),
    "intra.avi": (*PICTURES, *SOUND, "-c:v", "mjpeg", "-c:a", "pcm_s16le"),
    "opendml.avi": (*PICTURES, "-c:v", "mjpeg"),
    "plain.wmv": (*PICTURES, *SOUND, "-c:v", "wmv2", "-g", "12", "-c:a", "wmav2"),
    "plain.mxf": (*PICTURES, *SOUND, "-r", "25", "-c:v", "mpeg2video", "-g", "12", "-c:a", "pcm_s16le", "-ar", "48000"),
}
#: Sizes that recorders leave behind when they are switched off, and one that only a flipped bit makes.
UNTOLD, LIES = (0, 0x7FFFFFFF, 0xFFFFFFFF), (0x00100000, 0x01000000)


@pytest.fixture
def source(make):
    """Give what a good source of one kind holds."""

    def source(name: str) -> bytes:
        content = make(name, *SOURCES[name]).read_bytes()
        return as_opendml(content) if name == "opendml.avi" else content

    return source


@pytest.fixture
def judge(tmp_path, tools, limits):
    """Validate a source: what was said of it."""

    def judge(content: bytes):
        path = tmp_path / "upload"
        path.write_bytes(content)
        return inspect(path, tools, limits)

    return judge


@pytest.fixture
def become(judge, tmp_path, tools, limits):
    """Validate and transcode a source: what was said of it, and how many pictures it became."""

    def become(content: bytes, *, is_whole: bool = True):
        facts = judge(content)
        made = make_all(tmp_path / "upload", facts, SETTINGS, tmp_path, tools, limits)
        assert not (is_whole and made.degraded)  # where a file was cut, the last picture may be half there
        return facts, made.frames

    return become


def rate_of(name: str) -> int:
    return 25 if name.endswith("mxf") else RATE


@pytest.mark.parametrize("name", SOURCES)
def test_a_whole_file_is_indexed_whole(source, become, name):
    facts, frames = become(source(name))
    assert not facts.degraded
    assert frames == pytest.approx(rate_of(name) * LENGTH_S, abs=1)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("name", SOURCES)
def test_a_file_that_lost_its_end_is_truncated(source, judge, name, share):
    content = source(name)
    with pytest.raises(InvalidMedia) as caught:
        judge(content[: int(len(content) * share)])
    assert caught.value.reason == "truncated"


@pytest.mark.parametrize("name", ["intra.avi", "opendml.avi", "plain.wmv", "plain.mxf"])
def test_a_small_loss_is_a_remark(source, become, name):
    content = source(name)
    facts, frames = become(content[: len(content) * 96 // 100])
    assert ["missing" in remark for remark in facts.degraded] == [True]
    assert 0.94 < frames / (rate_of(name) * LENGTH_S) < 0.98
    assert float(facts.duration_s) == pytest.approx(frames / rate_of(name), abs=0.1)


@pytest.mark.parametrize("name", ["plain.avi", "b_frames.avi", "intra.avi"])
def test_an_index_that_is_cut_off_costs_nothing(source, become, name):
    content = source(name)
    facts, frames = become(content[: content.rindex(b"idx1") + 20])
    assert not facts.degraded
    assert frames == pytest.approx(rate_of(name) * LENGTH_S, abs=1)


@pytest.mark.parametrize("size", [*UNTOLD, *LIES], ids=hex)
@pytest.mark.parametrize("name", ["plain.avi", "b_frames.avi", "opendml.avi"])
def test_sizes_alone_reject_no_avi(source, become, name, size):
    content = with_sizes(source(name), size)
    facts, frames = become(content)
    assert not facts.degraded
    assert frames == pytest.approx(RATE * LENGTH_S, abs=1)


@pytest.mark.parametrize("size", UNTOLD, ids=hex)
def test_what_a_recorder_left_unfinished_is_indexed_as_far_as_it_goes(source, become, size):
    content = with_sizes(source("plain.avi"), size)
    assert 0.3 < become(content[: len(content) // 2], is_whole=False)[1] / (RATE * LENGTH_S) < 0.7


@pytest.mark.parametrize("frames", [0, 2 * RATE * LENGTH_S, 0x7FFFFFFF])
@pytest.mark.parametrize("name", ["plain.avi", "intra.avi"])
def test_a_number_of_pictures_alone_rejects_no_avi(source, become, name, frames):
    content = bytearray(source(name))
    struct.pack_into("<I", content, content.index(b"strh") + 8 + 32, frames)
    assert become(bytes(content))[1] == pytest.approx(RATE * LENGTH_S, abs=1)


@pytest.mark.parametrize("share", [1, 0.5])
def test_a_stream_of_avi_says_nothing_of_its_sizes(make, become, share):
    content = make("piped.avi", *SOURCES["plain.avi"], "-seekable", "0", "-f", "avi").read_bytes()
    _, frames = become(content[: int(share * len(content))], is_whole=share == 1)
    assert frames == pytest.approx(share * RATE * LENGTH_S, rel=0.2)


@pytest.mark.parametrize("what", [("size",), ("size", "data"), ("play",)], ids="+".join)
def test_one_lie_rejects_no_wmv(source, become, what):
    content = bytearray(source("plain.wmv"))
    properties, data = content.index(bytes.fromhex("a1dcab8c")), content.index(bytes.fromhex("3626b2758e66cf11a6d9"))
    at = {"size": properties + 40, "play": properties + 64, "data": data + 16}
    for name in what:
        content[at[name] + 3] ^= 0x10
    assert become(bytes(content))[1] == pytest.approx(RATE * LENGTH_S, abs=1)


def test_a_broadcast_in_asf_is_indexed_as_far_as_it_goes(source, become):
    content = bytearray(source("plain.wmv"))
    content[content.index(bytes.fromhex("a1dcab8c")) + 88] |= 1
    assert 0.3 < become(bytes(content[: len(content) // 2]), is_whole=False)[1] / (RATE * LENGTH_S) < 0.7


def test_sound_that_is_longer_than_the_pictures_is_no_loss(make, judge):
    sound = ("-f", "lavfi", "-i", "sine=440:d=20", "-c:a", "wmav2")
    content = make(
        "sound.wmv", "-f", "lavfi", "-i", "testsrc2=r=12:s=64x64:d=10", *sound, "-c:v", "wmv2", "-f", "asf"
    ).read_bytes()
    content = content[: len(content) * 98 // 100]
    content = with_file_size(content, 2 * len(content))
    assert float(judge(content).duration_s) == pytest.approx(10, abs=0.2)


@pytest.mark.parametrize("keeps_index", [True, False])
def test_a_footer_that_is_promised_elsewhere_rejects_no_mxf(source, become, keeps_index):
    content = bytearray(source("plain.mxf"))
    if not keeps_index:
        del content[content.rindex(bytes.fromhex("060e2b34020501010d01020101110100")) :]
    # Behind the key of the header's partition and the length of its pack.
    content[17 + (content[16] & 0x7F) + 24 + 4] ^= 1
    facts, frames = become(bytes(content))
    assert not facts.degraded
    assert frames == 25 * LENGTH_S


def test_a_length_alone_rejects_no_mxf(source, become):
    content = source("plain.mxf").replace((25 * LENGTH_S).to_bytes(8), (50 * LENGTH_S).to_bytes(8))
    assert become(content)[1] == 25 * LENGTH_S


def as_opendml(content: bytes) -> bytes:
    """Move the second half of the pictures of an AVI into a segment of their own, as recorders do at a gigabyte."""
    movi = content.index(b"movi") - 8
    end = movi + 8 + struct.unpack_from("<I", content, movi + 4)[0]
    at = movi + 12
    while at < (movi + end) // 2:
        length = struct.unpack_from("<I", content, at + 4)[0]
        at += 8 + length + length % 2
    first = content[12:movi] + listed(b"movi", content[movi + 12 : at])
    second = listed(b"movi", content[at:end])
    return chunk(b"RIFF", b"AVI " + first) + chunk(b"RIFF", b"AVIX" + second)


def listed(kind: bytes, body: bytes) -> bytes:
    return chunk(b"LIST", kind + body)


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body


def with_sizes(content: bytes, size: int) -> bytes:
    """Write another size of the last segment of an AVI, and of the list of its pictures."""
    changed = bytearray(content)
    for name in (b"RIFF", b"LIST"):
        at = content.rindex(b"movi") - 8 if name == b"LIST" else content.rindex(b"RIFF")
        struct.pack_into("<I", changed, at + 4, size)
    return bytes(changed)


def with_file_size(content: bytes, size: int) -> bytes:
    """Write another size into the file properties of an ASF file."""
    changed = bytearray(content)
    struct.pack_into("<Q", changed, content.index(bytes.fromhex("a1dcab8c")) + 40, size)
    return bytes(changed)
