"""Pictures that strangers send."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from core.errors import UnreadablePicture
from media.picture import LONG_SIDE_PX, MAX_PIXELS, read_picture


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Claim a size; there is no picture behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_three_formats_are_read_in_rgb(kind: str):
    pixels = read_picture(encoded(Image.new("RGB", (64, 48), (200, 30, 60)), kind))
    assert (pixels.shape, pixels.dtype) == ((48, 64, 3), np.uint8)
    assert np.abs(pixels[24, 32].astype(int) - (200, 30, 60)).max() < 8


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_every_mode_of_picture_becomes_three_bytes_a_pixel(mode: str):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert read_picture(encoded(Image.new(mode, (30, 20)), kind)).shape == (20, 30, 3)


def test_what_is_transparent_becomes_white():
    assert (read_picture(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0)))) == 255).all()


def test_a_picture_from_a_turned_camera_is_upright_and_a_large_one_is_scaled():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert read_picture(encoded(Image.new("RGB", (60, 40)), "JPEG", exif=exif)).shape == (60, 40, 3)
    assert read_picture(encoded(Image.new("RGB", (4000, 1000)), "JPEG")).shape == (LONG_SIDE_PX // 4, LONG_SIDE_PX, 3)


@pytest.mark.parametrize("size", [(7072, 7072), (12_000, 12_000), (60_000, 60_000), (2**31 - 1, 1)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]):
    assert size[0] * size[1] > MAX_PIXELS
    with pytest.raises(UnreadablePicture, match="too many pixels"):
        read_picture(png_header(*size))


def test_what_is_damaged_or_another_format_is_refused_with_a_sentence():
    whole = encoded(Image.effect_noise((64, 64), 50).convert("RGB"), "JPEG")
    for content in (b"", b"hello", whole[:30], whole[: len(whole) // 2], png_header(10, 10), b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(UnreadablePicture, match="picture"):
            read_picture(content)
    with pytest.raises(UnreadablePicture, match="damaged"):
        read_picture(encoded(Image.new("RGB", (8, 8)), exif=b"II*\0"))
    for kind in ("GIF", "BMP", "TIFF"):
        with pytest.raises(UnreadablePicture, match="none of JPEG, PNG and WebP"):
            read_picture(encoded(Image.new("RGB", (8, 8)), kind))
