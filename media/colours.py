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
#: Transfer functions of HDR: PQ and HLG.
HDR_TRANSFERS: Final = frozenset({"smpte2084", "arib-std-b67"})
_MATRICES: Final = frozenset({"bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc"})
#: What every player takes: that of HD, in ffmpeg's names of primaries, transfer function and matrix alike.
BT709: Final = "bt709"
#: Names of pixel formats that hold brightness and colour apart; others have no matrix to be told.
_YUV: Final = re.compile(r"yuv|nv\d|[py]\d|uyv|yvy|ayuv|vuy|xv|gray")


def colours_of(said: Mapping[str, Any]) -> Colours:
    """Read the tags of a stream, as ffprobe names them; what is not understood is unknown."""

    def known(field: str, names: frozenset[str]) -> str:
        return said[field] if said.get(field) in names else UNKNOWN_COLOURS

    is_yuv = _YUV.match(said.get("pix_fmt", "")) is not None
    return Colours(
        primaries=known("color_primaries", _PRIMARIES),
        transfer=known("color_transfer", _TRANSFERS | HDR_TRANSFERS),
        matrix=known("color_space", _MATRICES) if is_yuv else None,
    )


def believed(colours: Colours) -> str:
    """Build the filter that gives every picture the tags of its stream, whatever it says itself."""
    if colours.matrix is not None:
        return _tagged(colours.primaries, colours.transfer, colours.matrix)
    # Screens are recorded in red, green and blue, and tell nothing: players would guess when these are gone.
    primaries, transfer = (BT709 if c == UNKNOWN_COLOURS else c for c in (colours.primaries, colours.transfer))
    return _tagged(primaries, transfer, None)


def believed_of_hdr(colours: Colours) -> str:
    """Build the same filter for HDR: what is not told, or not understood, is as BT.2100 has it.

    Without all three tags zscale finds no way to the colours of other screens. What tells only by its pictures
    that it is HDR keeps the transfer function that they tell.
    """
    primaries = "bt2020" if colours.primaries == UNKNOWN_COLOURS else colours.primaries
    matrix = "bt2020nc" if colours.matrix == UNKNOWN_COLOURS else colours.matrix
    return _tagged(primaries, colours.transfer if colours.transfer in HDR_TRANSFERS else None, matrix)


def _tagged(primaries: str, transfer: str | None, matrix: str | None) -> str:
    curve = f":color_trc={transfer}" if transfer else ""
    space = f":colorspace={matrix}" if matrix else ""
    return f"setparams=color_primaries={primaries}{curve}{space}"
