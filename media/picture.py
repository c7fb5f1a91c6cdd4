"""Reads a picture that somebody sent: three formats, bounded in pixels before anything is decoded."""

import io
import struct
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import UnreadablePicture

#: Formats that are opened, by Pillow's names; its other readers stay closed to what strangers send.
FORMATS: Final = ("JPEG", "PNG", "WEBP")
#: Pixels of the largest picture: 50 megapixels is a phone's largest; decoded they take 150 MB.
MAX_PIXELS: Final = 50_000_000
#: Longer sides are scaled down to this: no encoder looks at more.
LONG_SIDE_PX: Final = 1024
#: One at a time: many large pictures at once must not take the service's memory.
_decoding: Final = Lock()
#: What Pillow's readers raise on damaged files: SyntaxError is a broken PNG's, struct.error a truncated EXIF block's.
_DAMAGES: Final = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, struct.error)


def read_picture(content: bytes) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG or WebP upright and in RGB: (height, width, 3); the first frame of an animation.

    Transparent parts become white.

    Raises:
        UnreadablePicture: another format, damaged, or too many pixels (permanent).
    """
    try:
        with _decoding, Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            _check_size(picture)
            picture.draft("RGB", (LONG_SIDE_PX, LONG_SIDE_PX))  # a large JPEG is decoded at a fraction of its size
            upright = ImageOps.exif_transpose(_scalable(picture))
            upright.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX))
            return np.array(_on_white(upright))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large() from error
    except UnidentifiedImageError as error:
        raise UnreadablePicture("The picture is none of JPEG, PNG and WebP.") from error
    except _DAMAGES as error:
        raise UnreadablePicture("The picture is damaged and cannot be decoded.") from error


def _check_size(picture: Image.Image) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        raise _too_large()


def _scalable(picture: Image.Image) -> Image.Image:
    """Leave palettes and 16-bit greys behind: they cannot be averaged."""
    if picture.mode.startswith(("I", "F")):
        return picture.convert("L")
    return (
        picture.convert("RGBA" if picture.has_transparency_data else "RGB") if picture.mode in {"1", "P"} else picture
    )


def _too_large() -> UnreadablePicture:
    return UnreadablePicture(f"The picture has too many pixels: at most {MAX_PIXELS // 1_000_000} million are decoded.")


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layers = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
