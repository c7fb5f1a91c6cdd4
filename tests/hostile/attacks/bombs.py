"""Small files that promise much: pixels, hours, pictures, tracks, tables, nesting, compression."""

import random
import struct
import zlib
from collections.abc import Callable
from typing import Final

from tests.hostile.kit import Kit, jpeg
from tests.hostile.surgery import (
    added,
    box,
    cluster,
    content_of,
    element,
    full_box,
    matroska,
    number,
    patched,
    replaced,
    video_track,
)

Write = Callable[[Kit], bytes]
_MANY: Final = 0xFFFFFFFF


def _mkv(track: bytes, *clusters: bytes, duration: float | None = None) -> bytes:
    told = element(0x4489, struct.pack(">d", duration)) if duration is not None else b""
    return matroska(element(0x1549A966, number(0x2AD7B1, 1_000_000), told), element(0x1654AE6B, track), *clusters)


def _picture(width: int, height: int, *, told: tuple[int, int] | None = None) -> Write:
    """Give a film of one JPEG picture; `told` is what the container says of its size."""
    size = told or (width, height)
    return lambda _: _mkv(video_track(b"V_MJPEG", *size), cluster(jpeg(width, height)))


def _told(kind: bytes, at: int, *words: int) -> Write:
    """Write numbers into the first box of this kind."""
    return lambda kit: patched(kit.film, kind, at, struct.pack(f">{len(words)}I", *words))


def _table(kind: bytes, *rows: int, told: int) -> Write:
    return lambda kit: replaced(kit.film, kind, full_box(kind, struct.pack(f">{len(rows) + 1}I", told, *rows)))


def _edits(*rows: tuple[int, int], told: int | None = None) -> Write:
    entries = b"".join(struct.pack(">Iihh", length, start, 1, 0) for length, start in rows)
    count = struct.pack(">I", len(rows) if told is None else told)
    return lambda kit: replaced(kit.film, b"elst", full_box(b"elst", count, entries))


def _tracks(count: int) -> Write:
    def write(kit: Kit) -> bytes:
        return added(kit.film, b"moov", box(b"trak", content_of(kit.film, b"trak")) * count)

    return write


def _nested(depth: int) -> Write:
    def write(_: Kit) -> bytes:
        inner = b""
        for _ in range(depth):
            inner = box(b"trak", inner)
        return box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", inner)

    return write


def _compressed_index(kit: Kit) -> bytes:
    """Hide 256 MiB of zeros in a compressed index (cmov)."""
    packed = zlib.compress(bytes(256 << 20), 9)
    inner = box(b"dcom", b"zlib") + box(b"cmvd", struct.pack(">I", 256 << 20), packed)
    return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"cmov", inner))


def _compressed_block(_: Kit) -> bytes:
    """Hide 256 MiB of zeros in a block that Matroska says is compressed."""
    packing = element(0x6D80, element(0x6240, number(0x5031, 0), element(0x5034, number(0x4254, 0))))
    return _mkv(video_track(b"V_MJPEG", 64, 64, packing), cluster(zlib.compress(bytes(256 << 20), 9)))


def _many_frames(kit: Kit) -> bytes:
    """Give 1000 pictures a second for half a minute, of almost no bytes each."""
    black = ["-f", "lavfi", "-i", "color=black:r=1000:s=64x64:d=30", "-c:v", "libx264", "-preset", "ultrafast"]
    return kit.make("fast.mp4", *black, "-pix_fmt", "yuv420p", "-g", "30000")


def _grown_pictures(kit: Kit) -> bytes:
    """Let the pictures grow from 64 x 64 to far beyond the limit in the middle of the film."""
    frames = [jpeg(64, 64)] * 40 + [jpeg(6000, 5000)] * 2
    return _mkv(video_track(b"V_MJPEG", 64, 64), *(cluster(frame) for frame in frames))


def _large_h264(kit: Kit) -> bytes:
    """Let the container say 64 x 64 where the pictures say 8192 x 4608."""
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    large = kit.make("large.mp4", "-f", "lavfi", "-i", "color=black:r=1:s=8192x4608:d=1", *coded)
    return patched(large, b"stsd", 8 + 8 + 24, struct.pack(">HH", 64, 64))


def _programs(_: Kit) -> bytes:
    """Fill a transport stream with programs: 250 in one table, each with a map of many streams."""
    rows = b"".join(struct.pack(">HH", n, 0xE000 | (0x100 + n)) for n in range(1, 40))
    packets = [_section(0, bytes([0, 0xB0, len(rows) + 9, 0, 1, 0xC1, 0, 0]) + rows)]
    for n in range(1, 40):
        streams = b"".join(bytes([0x1B]) + struct.pack(">HH", 0xE000 | (0x400 + n * 30 + i), 0xF000) for i in range(30))
        length = len(streams) + 13
        packets.append(
            _section(
                0x100 + n, bytes([2, 0xB0, length]) + struct.pack(">HBBBHH", n, 0xC1, 0, 0, 0xE400, 0xF000) + streams
            )
        )
    return b"".join(packets) * 20


def _section(pid: int, table: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in table:
        crc ^= byte << 24
        for _ in range(8):
            crc = ((crc << 1) ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    content = b"\0" + table + struct.pack(">I", crc)
    return struct.pack(">BHB", 0x47, 0x4000 | pid, 0x10) + content.ljust(184, b"\xff")


def _avi_index(kit: Kit) -> bytes:
    film = kit.make("plain.avi", "-i", str(kit.folder / "film.mp4"), "-c:v", "mpeg4", "-an")
    at = film.index(b"idx1")
    return film[: at + 4] + struct.pack("<I", 0xFFFFFFF0) + film[at + 8 :]


def _avi_nested(_: Kit) -> bytes:
    return b"RIFF\xff\xff\xff\x7fAVI " + b"LIST\xff\xff\xff\x7fhdrl" * 20_000


def _ogg_streams(_: Kit) -> bytes:
    """Begin 3,000 logical streams in one Ogg file."""
    head = b"\x80theora\x03\x02\x01" + bytes(31)
    return b"".join(
        b"OggS\0\2" + bytes(8) + struct.pack("<III", serial, 0, 0) + bytes([1, len(head)]) + head
        for serial in range(3000)
    )


def _flash_nested(_: Kit) -> bytes:
    words = b"\x02\x00\x0aonMetaData" + (b"\x03\x00\x01a") * 50_000
    tag = b"\x12" + len(words).to_bytes(3, "big") + bytes(7) + words
    return b"FLV\x01\x05\0\0\0\x09\0\0\0\0" + tag + struct.pack(">I", len(tag))


def _exchange_length(kit: Kit) -> bytes:
    film = kit.make("plain.mxf", "-i", str(kit.folder / "film.mp4"), "-c:v", "mpeg2video", "-r", "25", "-an")
    return film[:16] + b"\x88" + b"\x7f" * 8 + film[25:]


def _exchange_loop(kit: Kit) -> bytes:
    """Let the partition before the first one be the first one itself, and the footer too."""
    film = kit.make("plain.mxf", "-i", str(kit.folder / "film.mp4"), "-c:v", "mpeg2video", "-r", "25", "-an")
    return film[: 16 + 4 + 8] + struct.pack(">QQQ", 0, 1, 1) + film[16 + 4 + 8 + 24 :]


def _lacing(_: Kit) -> bytes:
    frames = b"\xff" + b"\xff" * 60_000
    block = element(0xA3, b"\x81\0\0\x82" + frames)
    return _mkv(video_track(b"V_MJPEG", 64, 64), element(0x1F43B675, number(0xE7, 0), block))


def _wide_pixels(kit: Kit) -> bytes:
    """Say that each pixel is 65535 times wider than high."""
    entry = content_of(kit.film, b"stsd") + box(b"pasp", struct.pack(">II", 65535, 1))
    return replaced(kit.film, b"stsd", box(b"stsd", entry[:8] + struct.pack(">I", len(entry) - 8) + entry[12:]))


def _fragment(count: int) -> Write:
    """Promise this many pictures in the run of a fragment."""

    def write(kit: Kit) -> bytes:
        film = kit.make(
            "fragments.mp4", "-i", str(kit.folder / "film.mp4"), "-c", "copy", "-movflags", "+frag_keyframe+empty_moov"
        )
        at = film.index(b"trun") + 8
        return film[:at] + struct.pack(">I", count) + film[at + 4 :]

    return write


def _noise(_: Kit) -> bytes:
    """Give a large stream of packets that hold no picture."""
    chance = random.Random(7)
    return b"".join(b"\x47\x01\x00\x10" + chance.randbytes(184) for _ in range(20_000))


ATTACKS: Final[dict[str, Write]] = {
    "pixels-jpeg": _picture(9000, 9000),
    "pixels-untold": _picture(9000, 9000, told=(64, 64)),
    "pixels-widest": _picture(65000, 16),
    "pixels-told": _picture(64, 64, told=(60000, 60000)),
    "pixels-later": _grown_pictures,
    "pixels-h264": _large_h264,
    "pixels-wide-shape": _wide_pixels,
    "hours-movie": _told(b"mvhd", 12, 1, _MANY),
    "hours-track": _told(b"tkhd", 20, _MANY),
    "hours-media": _told(b"mdhd", 12, 1, _MANY),
    "hours-one-picture": _table(b"stts", 1, 0x7FFFFFFF, told=1),
    "hours-mkv": lambda _: _mkv(video_track(b"V_MJPEG", 64, 64), cluster(jpeg(64, 64)), duration=1e15),
    "hours-edits": _edits((0x7FFFFFFF, 0)),
    "hours-empty-edit": _edits((0x7FFFFFFF, -1), (1000, 0)),
    "edits-repeated": _edits(*[(1000, 0)] * 5000),
    "edits-untold": _edits((1000, 0), told=_MANY),
    "pictures-fast": _many_frames,
    "pictures-untold": _table(b"stts", _MANY, 1, told=1),
    "pictures-of-no-time": _table(b"stts", 10, 0, told=1),
    "table-stsz": lambda kit: replaced(kit.film, b"stsz", full_box(b"stsz", struct.pack(">II", 1, _MANY))),
    "table-stsz-empty": lambda kit: replaced(kit.film, b"stsz", full_box(b"stsz", struct.pack(">II", 0, _MANY))),
    "table-stsc": _table(b"stsc", 1, _MANY, 1, told=1),
    "table-stsc-untold": _table(b"stsc", 1, 1, 1, told=_MANY),
    "table-stco": _table(b"stco", 48, told=_MANY),
    "table-stss": _table(b"stss", 1, told=_MANY),
    "table-stts": _table(b"stts", 1, 512, told=_MANY),
    "table-trun": _fragment(0x7FFFFFFF),
    "table-trun-some": _fragment(5_000_000),
    "tracks-40": _tracks(40),
    "tracks-2000": _tracks(2000),
    "tracks-mkv": lambda _: _mkv(
        b"".join(video_track(b"V_MJPEG", 64, 64, which=n) for n in range(1, 120)), cluster(jpeg(64, 64))
    ),
    "tracks-programs": _programs,
    "tracks-ogg": _ogg_streams,
    "size-64-bit": lambda kit: struct.pack(">I4sQ", 1, b"moov", 1 << 62) + kit.film,
    "size-nothing": lambda _: box(b"ftyp", b"isom\0\0\0\0isom") + struct.pack(">I4s", 0, b"moov"),
    "size-mdat": lambda _: box(b"ftyp", b"isom\0\0\0\0isom") + struct.pack(">I4sQ", 1, b"mdat", 1 << 62),
    "size-ebml": lambda _: matroska(element(0x1549A966, b"", size=(1 << 56) - 2)),
    "size-ebml-entry": lambda _: matroska(element(0x1654AE6B, element(0xAE, element(0x63A2, b"x", size=1 << 40)))),
    "size-avi-index": _avi_index,
    "size-mxf": _exchange_length,
    "boxes-many": lambda _: box(b"ftyp", b"isom\0\0\0\0isom") + box(b"free") * 200_000,
    "boxes-nested": _nested(3000),
    "boxes-in-avi": _avi_nested,
    "objects-in-flv": _flash_nested,
    "loop-mxf": _exchange_loop,
    "lacing": _lacing,
    "zip-index": _compressed_index,
    "zip-block": _compressed_block,
    "noise-ts": _noise,
}
