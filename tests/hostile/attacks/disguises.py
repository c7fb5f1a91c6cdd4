"""What is no film, or a film and something else at once, under the name of a film."""

import io
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Final

from tests.hostile.kit import CANARY, Kit, jpeg
from tests.hostile.surgery import box

Write = Callable[[Kit], bytes]
_FTYP: Final = box(b"ftyp", b"isom\0\0\0\0isom")
_HLS: Final = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:3,\n{}\n#EXT-X-ENDLIST\n"


def _always(content: bytes) -> Write:
    return lambda _: content


def _archive(kit: Kit) -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../canary.mp4", kit.film)
    return kept.getvalue()


def _with_playlist_inside(kit: Kit) -> bytes:
    return _FTYP + box(b"free", _HLS.format(kit.neighbour).encode()) + kit.film[len(_FTYP) :]


def _playlist_that_begins_like_boxes(kit: Kit) -> bytes:
    """Put text behind the type of a box, so that the first bytes are an MP4's."""
    return b"\0\0\0\x20free\n" + _HLS.format(kit.neighbour).encode()


def _sdp_that_begins_like_boxes(kit: Kit) -> bytes:
    return f"v=0\nfree\nc=IN IP4 127.0.0.1\nm=video {kit.udp} RTP/AVP 33\n".encode()


def _dash_that_begins_like_boxes(kit: Kit) -> bytes:
    words = f'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet><Representation><BaseURL>{kit.url}'
    return b"\0\0\0\x08wide" + words.encode() + b"</BaseURL></Representation></AdaptationSet></Period></MPD>"


def _playlist_after_sync_bytes(kit: Kit) -> bytes:
    """Look like a transport stream at the places that a sniffer looks at."""
    text = bytearray(_HLS.format(kit.neighbour).encode().ljust(188 * 6, b"\n"))
    text[::188] = b"G" * len(text[::188])
    return bytes(text)


def _still(kind: str) -> Write:
    def write(_: Kit) -> bytes:
        from PIL import Image

        kept = io.BytesIO()
        Image.new("RGB", (64, 64), "teal").save(kept, kind)
        return kept.getvalue()

    return write


ATTACKS: Final[dict[str, Write]] = {
    "nothing": _always(b""),
    "one-byte": _always(b"\0"),
    "zeros": _always(bytes(100_000)),
    "noise": lambda _: random.Random(3).randbytes(100_000),
    "noise-in-boxes": lambda _: _FTYP + box(b"moov", random.Random(4).randbytes(50_000)),
    "noise-in-ebml": lambda _: b"\x1a\x45\xdf\xa3" + random.Random(5).randbytes(50_000),
    "text": lambda _: b"hello " + CANARY,
    "zip": _archive,
    "film-and-zip": lambda kit: kit.film + _archive(kit),
    "zip-and-film": lambda kit: _archive(kit) + kit.film,
    "page-and-film": lambda kit: b"<html><script>fetch('" + kit.url.encode() + b"')</script>" + kit.film,
    "film-and-page": lambda kit: kit.film + b"<html><script>fetch('" + kit.url.encode() + b"')</script>",
    "pdf-and-film": lambda kit: b"%PDF-1.7\n" + kit.film,
    "picture-and-film": lambda kit: jpeg(64, 64) + kit.film,
    "sound-and-film": lambda kit: b"ID3\x04\0\0\0\0\0\0" + kit.film,
    "program-and-film": lambda kit: b"\x7fELF" + bytes(60) + kit.film,
    "playlist-and-film": lambda kit: _HLS.format(kit.neighbour).encode() + kit.film,
    "film-and-playlist": lambda kit: kit.film + _HLS.format(kit.neighbour).encode(),
    "film-around-playlist": _with_playlist_inside,
    "playlist-like-boxes": _playlist_that_begins_like_boxes,
    "sdp-like-boxes": _sdp_that_begins_like_boxes,
    "dash-like-boxes": _dash_that_begins_like_boxes,
    "playlist-like-packets": _playlist_after_sync_bytes,
    "still-jpeg": lambda _: jpeg(64, 64),
    "still-png": _still("PNG"),
    "still-gif": _still("GIF"),
    "still-tiff": _still("TIFF"),
    "still-webp": _still("WEBP"),
    "still-icon": _still("ICO"),
    "still-heif": _always(box(b"ftyp", b"heic\0\0\0\0heicmif1") + box(b"meta", bytes(64))),
    "sound-wave": _always(b"RIFF" + struct.pack("<I", 1000) + b"WAVEfmt " + bytes(1000)),
    "font": _always(b"\0\1\0\0\0\x0c\0\x80" + bytes(400)),
    "database": _always(b"SQLite format 3\0" + bytes(400)),
    "script": lambda kit: b"#!/bin/sh\ncat " + str(kit.secret).encode(),
}
