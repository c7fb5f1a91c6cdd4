import struct

import pytest

from media.wholeness import is_whole

BODY = b"x" * 300


def flash() -> bytes:
    tag = b"\x09" + (50).to_bytes(3, "big") + bytes(7) + bytes(50)
    return b"FLV\x01\x05\0\0\0\x09\0\0\0\0" + tag + struct.pack(">I", len(tag))


FILES = {
    "avi": b"RIFF" + struct.pack("<I", 4 + len(BODY)) + b"AVI " + BODY,
    "matroska": b"\x1a\x45\xdf\xa3\x84abcd" + b"\x18\x53\x80\x67\x41\x2c" + BODY,
    "flv": flash(),
    "asf": bytes(30)
    + bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
    + bytes(24)
    + struct.pack("<Q", 30 + 16 + 24 + 8 + len(BODY))
    + BODY,
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
