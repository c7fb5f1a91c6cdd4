"""Films whose container points at other files, addresses or itself."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.hostile.kit import CANARY, Kit, jpeg
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


def _data_reference(kind: bytes, address: Callable[[Kit], bytes]) -> Write:
    """Say that the samples lie in another file: flag 1, "in this file", is off."""

    def write(kit: Kit) -> bytes:
        entry = full_box(kind, address(kit))
        return replaced(kit.film, b"dref", full_box(b"dref", struct.pack(">I", 1), entry))

    return write


def _alias(path: Path) -> bytes:
    """Build the Macintosh alias record of a file, as old QuickTime writes it."""
    name = path.name.encode()
    head = struct.pack(">4sHHH", b"appl", 0, 2, 0) + bytes([4]) + b"disk".ljust(27, b"\0")
    head += struct.pack(">I2sHI", 0, b"H+", 0, 0) + bytes([len(name)]) + name.ljust(63, b"\0")
    head += bytes(4 + 4 + 4 + 4) + struct.pack(">hh", 1, 1) + bytes(4 + 2 + 10)
    tags = b"".join(
        struct.pack(">hH", tag, len(value)) + value + b"\0" * (len(value) % 2)
        for tag, value in ((2, str(path).encode()), (18, str(path).encode()), (19, b"/"), (-1, b""))
    )
    record = head + tags
    return record[:4] + struct.pack(">H", len(record)) + record[6:]


def _redirect(kind: bytes, address: Callable[[Kit], bytes]) -> Write:
    """Build a QuickTime reference film: no track, only the address of another film."""

    def write(kit: Kit) -> bytes:
        target = address(kit) + b"\0"
        reference = full_box(b"rdrf", kind, struct.pack(">I", len(target)), target)
        return box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"moov", box(b"rmra", box(b"rmda", reference)))

    return write


def _track_reference(kind: bytes, track: int) -> Write:
    return lambda kit: added(kit.film, b"trak", box(b"tref", box(kind, struct.pack(">I", track))))


def _mkv(*elements: bytes, every: bytes = b"") -> Callable[[Kit], bytes]:
    head = element(0x1549A966, number(0x2AD7B1, 1_000_000), every)
    tracks = element(0x1654AE6B, video_track(b"V_MJPEG", 64, 64))
    film = cluster(*(jpeg(64, 64, colour) for colour in ("teal", "navy", "olive", "gray", "white")))
    return lambda _: matroska(head, *elements, tracks, film)


def _attachment(name: str, kind: bytes, content: bytes) -> bytes:
    file = (element(0x466E, name.encode()), element(0x4660, kind), element(0x465C, content), number(0x46AE, 7))
    return element(0x1941A469, element(0x61A7, *file))


def _chapters(kit: Kit) -> bytes:
    atom = element(0xB6, number(0x73C4, 1), number(0x91, 0), element(0x6E67, bytes(range(16))), number(0x6EBC, 1))
    edition = element(0x1043A770, element(0x45B9, number(0x45DD, 1), atom))
    names = element(0x3C83AB, str(kit.neighbour).encode()) + element(0x3E83BB, str(kit.secret).encode())
    return _mkv(edition, every=names)(kit)


def _tags(kit: Kit) -> bytes:
    simple = element(0x67C8, element(0x45A3, b"URL"), element(0x4487, kit.url.encode()))
    return _mkv(element(0x1254C367, element(0x7373, simple)))(kit)


def _subtitles(kit: Kit) -> bytes:
    words = kit.folder / "words.ass"
    words.write_text(
        "[Script Info]\nScriptType: v4.00+\nAudio URI: " + kit.url + f"\nVideo File: {kit.neighbour}\n\n[Events]\n"
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        f"Dialogue: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,{{\\1img({kit.secret})}}x\n"
    )
    return kit.make("subtitled.mkv", *_inputs(kit, words), "-map", "0", "-map", "1", "-c", "copy")


def _inputs(kit: Kit, second: Path) -> list[str]:
    return ["-i", str(kit.folder / "film.mp4"), "-i", str(second)]


def _closed_captions_track(kit: Kit) -> bytes:
    words = kit.folder / "words.srt"
    words.write_text(f"1\n00:00:00,000 --> 00:00:01,000\n<img src='{kit.secret}'>\n")
    return kit.make("captioned.mp4", *_inputs(kit, words), "-map", "0", "-map", "1", "-c", "copy", "-c:s", "mov_text")


def _metadata(kit: Kit) -> bytes:
    words = ("-metadata", f"comment={kit.url}", "-metadata", f"title=file:{kit.secret}")
    return kit.make(
        "tagged.mp4", "-i", str(kit.folder / "film.mp4"), "-c", "copy", *words, "-movflags", "use_metadata_tags"
    )


def _flash(kit: Kit) -> bytes:
    words = ("-metadata", f"streamurl={kit.url}", "-metadata", f"playlist={kit.secret}")
    return kit.make("tagged.flv", "-i", str(kit.folder / "film.mp4"), "-c", "copy", *words)


def _windows(kit: Kit) -> bytes:
    """Put a script command object, which makes old players open an address, into the header of an ASF file."""
    film = kit.make("plain.wmv", "-i", str(kit.folder / "film.mp4"), "-c:v", "wmv2", "-an")
    url = (kit.url + "\0").encode("utf-16-le")
    kind = "URL\0".encode("utf-16-le")
    body = bytes(16) + struct.pack("<HH", 1, 1) + struct.pack("<H", len(kind) // 2) + kind
    body += struct.pack("<IHH", 0, 0, len(url) // 2) + url
    script = bytes.fromhex("301afb1e620bd011a39b00a0c90348f6") + struct.pack("<Q", 24 + len(body)) + body
    (size,) = struct.unpack_from("<Q", film, 16)
    (objects,) = struct.unpack_from("<I", film, 24)
    head = film[:16] + struct.pack("<QI", size + len(script), objects + 1) + film[28:30]
    return head + script + film[30:]


def _exchange(kit: Kit) -> bytes:
    """Put a network locator into an MXF file, after its header."""
    film = kit.make("plain.mxf", "-i", str(kit.folder / "film.mp4"), "-c:v", "mpeg2video", "-r", "25", "-an")
    url = kit.url.encode("utf-16-be")
    local = struct.pack(">HH", 0x4001, len(url)) + url
    key = bytes.fromhex("060e2b34025301010d01010101013200")
    return film + key + b"\x83" + len(local).to_bytes(3, "big") + local


def _encrypted(kit: Kit) -> bytes:
    """Call the pictures protected and name a licence server."""
    protection = box(b"sinf", box(b"frma", b"avc1"), full_box(b"schm", b"cenc", bytes(4)))
    system = full_box(b"pssh", bytes(16), struct.pack(">I", len(kit.url)), kit.url.encode())
    film = added(kit.film, b"moov", system)
    entry = content_of(film, b"stsd")
    entry = entry[:12] + b"encv" + entry[16:] + protection
    return replaced(film, b"stsd", box(b"stsd", entry[:8] + struct.pack(">I", len(entry) - 8) + entry[12:]))


ATTACKS: Final[dict[str, Write]] = {
    "dref-address": _data_reference(b"url ", lambda kit: kit.url.encode() + b"\0"),
    "dref-file": _data_reference(b"url ", lambda kit: f"file://{kit.neighbour.with_suffix('.mp4')}".encode() + b"\0"),
    "dref-relative": _data_reference(b"url ", lambda _: b"neighbour/neighbour.mp4\0"),
    "dref-name": _data_reference(b"urn ", lambda kit: b"x\0" + str(kit.secret).encode() + b"\0"),
    "dref-alias": _data_reference(b"alis", lambda kit: _alias(kit.neighbour.with_suffix(".mp4"))),
    "dref-alias-secret": _data_reference(b"alis", lambda kit: _alias(kit.secret)),
    "dref-resource": _data_reference(b"rsrc", lambda kit: _alias(kit.secret)),
    "dref-nowhere": lambda kit: replaced(kit.film, b"dref", full_box(b"dref", struct.pack(">I", 0))),
    "dref-far": lambda kit: patched(kit.film, b"dref", 4, b"\xff\xff\xff\xff"),
    "redirect-address": _redirect(b"url ", lambda kit: kit.url.encode()),
    "redirect-file": _redirect(b"url ", lambda kit: f"file://{kit.neighbour}".encode()),
    "redirect-alias": _redirect(b"alis", lambda kit: _alias(kit.neighbour)),
    "chapters-of-itself": _track_reference(b"chap", 1),
    "chapters-of-nobody": _track_reference(b"chap", 77),
    "timecode-of-itself": _track_reference(b"tmcd", 1),
    "hint-of-itself": _track_reference(b"hint", 1),
    "mkv-linked-segments": _chapters,
    "mkv-tags": _tags,
    "mkv-attached-font": _mkv(_attachment("../../../etc/fonts/x.ttf", b"application/x-truetype-font", CANARY)),
    "mkv-attached-picture": _mkv(_attachment("cover.jpg", b"image/jpeg", jpeg(64, 64))),
    "mkv-attached-playlist": _mkv(
        _attachment("x.m3u8", b"application/vnd.apple.mpegurl", b"#EXTM3U\nhttp://localhost/\n")
    ),
    "mkv-attached-absolute": _mkv(_attachment("/tmp/canary", b"text/plain", b"x")),
    "subtitles-that-name-files": _subtitles,
    "captions-that-name-files": _closed_captions_track,
    "metadata-that-names-files": _metadata,
    "flv-that-names-addresses": _flash,
    "asf-script-command": _windows,
    "mxf-network-locator": _exchange,
    "encrypted": _encrypted,
}
