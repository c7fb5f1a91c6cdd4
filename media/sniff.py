"""What a file is by its first bytes, before any media program sees it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from core.errors import InvalidMedia
from media.layers import LayerName, is_on

_HEAD_BYTES: Final = 4096
_TS_PACKET: Final = 188
_M2TS_PACKET: Final = 192
_TS_SYNC: Final = 0x47
#: Text that names other files for a player to open.
_PLAYLIST: Final = re.compile(
    rb"\s*(?:#EXTM3U|#EXT-X-|ffconcat\b|file\s+['\"]|\[playlist\]|v=0\r?\n|<\?xml[^>]*>\s*(?:<!--.*?-->\s*)*<(?:\w+:)?"
    rb"(?:MPD|smil|SmoothStreamingMedia|playlist|asx|AssetMap|CompositionPlaylist)\b|<(?:\w+:)?(?:MPD|smil|asx)\b|"
    rb"\[Reference\]|rtsp://|https?://)",
    re.DOTALL | re.IGNORECASE,
)
_ISO_BOXES: Final = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"sidx", b"moof", b"uuid"}
_STILLS: Final = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"8BPS": "Photoshop",
    b"WEBP": "WebP",
}
#: Still pictures in the boxes of MP4, by their major brand.
_STILL_BRANDS: Final = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"avif": "AVIF"}
_SOUNDS: Final = {
    b"ID3": "MP3",
    b"fLaC": "FLAC",
    b"MThd": "MIDI",
    b"FORM": "AIFF",
    b"#!AMR": "AMR",
    b"caff": "CAF",
    b"WAVE": "WAV",
}
_OTHERS: Final = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
}


def _is_transport_stream(head: bytes) -> bool:
    for size, start in ((_TS_PACKET, 0), (_M2TS_PACKET, 4)):
        syncs = head[start::size][:5]
        if len(syncs) >= 2 and all(byte == _TS_SYNC for byte in syncs):  # noqa: PLR2004 one alone is chance
            return True
    return False


#: Containers by their first bytes: test and the demuxer's name.
_CONTAINERS: Final[tuple[tuple[Callable[[bytes], bool], str], ...]] = (
    (lambda head: head[4:8] in _ISO_BOXES, "mov"),
    (lambda head: head.startswith(b"\x1a\x45\xdf\xa3"), "matroska"),
    (lambda head: head[:4] in {b"RIFF", b"RIFX"} and head[8:12] in {b"AVI ", b"AVIX", b"AMV "}, "avi"),
    (lambda head: head.startswith(b"OggS"), "ogg"),
    (lambda head: head.startswith(b"FLV\x01"), "flv"),
    (lambda head: head.startswith(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), "asf"),
    (lambda head: head.startswith(b"\x00\x00\x01\xba"), "mpeg"),
    (lambda head: head.startswith(b"\x06\x0e\x2b\x34"), "mxf"),
    (_is_transport_stream, "mpegts"),
)


def sniff(path: Path) -> str | None:
    """Name the container by its first bytes, as ffmpeg does; None when they say nothing.

    Raises:
        InvalidMedia: empty, playlist_not_allowed, not_media, unsupported_container or no_video_stream.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise InvalidMedia("empty")
    for matches, container in _CONTAINERS:
        if matches(head):
            if head[4:8] == b"ftyp" and (still := _STILL_BRANDS.get(head[8:12])) and is_on(LayerName.SNIFF):
                raise InvalidMedia("unsupported_container", f"The file is a {still} picture, not a video.")
            return container
    if is_on(LayerName.SNIFF):
        _refuse_known(head)
    return None


def _refuse_known(head: bytes) -> None:
    text = head.removeprefix(b"\xef\xbb\xbf")
    if _PLAYLIST.match(text):
        raise InvalidMedia("playlist_not_allowed")
    riff = head[8:12] if head[:4] == b"RIFF" else b""
    for magic, name in _STILLS.items():
        if head.startswith(magic) or riff == magic:
            raise InvalidMedia("unsupported_container", f"The file is a {name} picture, not a video.")
    for magic, name in _SOUNDS.items():
        if head.startswith(magic) or riff == magic:
            raise InvalidMedia("no_video_stream", f"The file holds sound alone ({name}); there is no picture to index.")
    for magic, name in _OTHERS.items():
        if head.startswith(magic):
            raise InvalidMedia("not_media", f"The file is {name}, not a video.")
    if _is_text(text):
        raise InvalidMedia("not_media", "The file is text, not a video.")


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        # A character may be cut in two where we stopped reading.
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode()
    return all(c.isprintable() or c.isspace() for c in text)
