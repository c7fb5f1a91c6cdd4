import struct

import pytest

from media.wholeness import is_cut_off, is_whole, play_s

BODY = b"x" * 300
PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
PACKETS = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
PARTITION, INDEX = bytes.fromhex("060e2b34020501010d01020101"), bytes.fromhex("060e2b34020501010d01020101110100")


def flash() -> bytes:
    tag = b"\x09" + (50).to_bytes(3, "big") + bytes(7) + bytes(50)
    return b"FLV\x01\x05\0\0\0\x09\0\0\0\0" + tag + struct.pack(">I", len(tag))


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body


def avi(size: int | None = None, pictures: int | None = None, kind: bytes = b"AVI ") -> bytes:
    """Give a segment; the sizes are true unless others are given."""
    inner = (
        chunk(b"LIST", b"hdrl" + bytes(64))
        + chunk(b"JUNK", bytes(7) + b"\0")
        + chunk(b"LIST", b"movi" + BODY, pictures)
    )
    return chunk(b"RIFF", kind + inner, size)


def windows(*, flags: int = 0, size: int | None = None, packets: int | None = None) -> bytes:
    """Give an ASF that plays for ten seconds; the sizes are true unless others are given."""
    data = PACKETS + struct.pack("<Q", 24 + len(BODY) if packets is None else packets) + BODY
    told = 30 + 104 + len(data) if size is None else size
    fields = struct.pack("<QQQQQQIIII", told, 0, 1, 13 * 10**7, 13 * 10**7, 3000, flags, 100, 100, 0)
    inner = PROPERTIES + struct.pack("<Q", 104) + bytes(16) + fields
    return bytes(16) + struct.pack("<QIH", 30 + len(inner), 1, 0) + inner + data


def mxf(footer: int | None = None, index: bytes = INDEX) -> bytes:
    """Give an MXF of two partitions; where the footer is said to be is true unless another place is given."""
    pack = 20 + 88
    head = PARTITION + b"\2\4\0" + b"\x83\0\0\x58" + bytes(24)
    head += struct.pack(">Q", pack + len(BODY) if footer is None else footer) + bytes(56)
    return head + BODY + PARTITION + b"\4\4\0" + b"\x58" + bytes(88) + index + b"\4" + (21).to_bytes(4, "big")


FILES = {
    "avi": avi(),
    "matroska": b"\x1a\x45\xdf\xa3\x84abcd" + b"\x18\x53\x80\x67\x41\x2c" + BODY,
    "flv": flash(),
    "asf": windows(),
}


@pytest.mark.parametrize("container", FILES)
def test_a_file_is_whole_until_its_end_is_cut_off(container, tmp_path):
    path = tmp_path / "source"
    path.write_bytes(FILES[container])
    assert is_whole(path, container)
    for length in (len(FILES[container]) - 1, 40, 9, 1):
        path.write_bytes(FILES[container][:length])
        assert not is_whole(path, container)


@pytest.mark.parametrize(
    "content", [b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7 + BODY, b"\x1a\x45\xdf\xa3\xff", b"\0" * 40]
)
def test_a_recording_of_unknown_length_is_never_called_whole(content, tmp_path):
    path = tmp_path / "source"
    path.write_bytes(content)
    assert not is_whole(path, "matroska")


def test_other_containers_cannot_be_judged(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(BODY)
    assert not is_whole(path, "mpegts")
    assert not is_whole(path, None)


CUTTABLE = {"avi": avi(), "asf": windows(), "mxf": mxf()}
OPENDML = avi() + avi(kind=b"AVIX")


@pytest.fixture
def says(tmp_path):
    """Write a file, and ask whether it is whole, and whether it is cut off."""

    def says(content: bytes, container: str) -> tuple[bool, bool]:
        path = tmp_path / "source"
        path.write_bytes(content)
        return is_whole(path, container), is_cut_off(path, container)

    return says


@pytest.mark.parametrize("container", CUTTABLE)
def test_a_file_is_cut_off_from_its_first_picture_on(container, says):
    content = CUTTABLE[container]
    assert says(content, container) == (True, False)
    first = content.index(BODY)
    for length in (first + 1, first + 100, first + len(BODY) - 1):
        assert says(content[:length], container) == (False, True)
    for length in range(first):
        assert not says(content[:length], container)[0]


def test_an_opendml_is_as_whole_as_its_last_segment(says):
    assert says(OPENDML, "avi") == (True, False)
    assert says(OPENDML[:-1], "avi") == (False, True)
    assert says(OPENDML + avi(kind=b"AVIX", size=0), "avi") == (True, False)


@pytest.mark.parametrize("untold", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_size_that_a_recorder_never_mended_says_nothing(untold, says):
    assert says(avi(size=untold, pictures=untold), "avi") == (True, False)
    assert not says(avi(size=untold, pictures=untold)[:200], "avi")[1]


@pytest.mark.parametrize(
    ("container", "content"),
    [
        ("avi", avi(size=10_000)),
        ("avi", avi(pictures=10_000)),
        ("asf", windows(size=10_000)),
        ("asf", windows(packets=10_000)),
        ("asf", windows(size=10_000, packets=10_000, flags=1)),
        ("mxf", mxf(footer=10_000)),
        ("mxf", mxf(footer=0)),
    ],
)
def test_one_count_alone_cuts_nothing_off(container, content, says):
    assert not says(content, container)[1]


def test_an_endless_chain_of_segments_is_left_after_a_while(says):
    assert says(avi() + (chunk(b"RIFF", b"AVIX") * 5000), "avi") == (True, False)


def test_places_beyond_every_file_are_no_error(says):
    assert not says(mxf(footer=(1 << 64) - 1, index=b""), "mxf")[0]
    assert not any(says(windows().replace(struct.pack("<QIH", 134, 1, 0), b"\xff" * 14), "asf")[1:])


def test_asf_says_how_long_it_plays(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(windows())
    assert play_s(path) == 10
    for content in (windows(flags=1), windows()[:60], b""):
        path.write_bytes(content)
        assert play_s(path) is None
