"""What the numbers in a picture mean: the tags that filters and players understand, and no others.

Cameras and damaged files write tags that no filter takes: one such picture would end a whole transcode.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from core.values import UNKNOWN_COLOURS, Colours

_PRIMARIES: Final = frozenset(
    {"bt709", "bt470m", "bt470bg", "smpte170m", "smpte240m", "film", "bt2020", "smpte428", "smpte431", "smpte432"}
)
_TRANSFERS: Final = frozenset(
    {"bt709", "bt470m", "bt470bg", "smpte170m", "smpte240m", "linear", "iec61966-2-4", "iec61966-2-1"}
    | {"bt1361e", "bt2020-10", "bt2020-12", "smpte428"}
)
_MATRICES: Final = frozenset({"bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc"})
#: Names of pixel formats that hold brightness and colour apart; others have no matrix to be told.
_YUV: Final = re.compile(r"yuv|nv\d|[py]\d|uyv|yvy|ayuv|vuy|xv|gray")


def colours_of(said: Mapping[str, Any]) -> Colours:
    """Read the tags of a stream, as ffprobe names them; what is not understood is unknown."""

    def known(field: str, names: frozenset[str]) -> str:
        return said[field] if said.get(field) in names else UNKNOWN_COLOURS

    is_yuv = _YUV.match(said.get("pix_fmt", "")) is not None
    return Colours(
        primaries=known("color_primaries", _PRIMARIES),
        transfer=known("color_transfer", _TRANSFERS),
        matrix=known("color_space", _MATRICES) if is_yuv else None,
    )


def believed(colours: Colours) -> str:
    """Build the filter that gives every picture the tags of its stream, whatever it says itself."""
    matrix = f":colorspace={colours.matrix}" if colours.matrix else ""
    return f"setparams=color_primaries={colours.primaries}:color_trc={colours.transfer}{matrix}"
