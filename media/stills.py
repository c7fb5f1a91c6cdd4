"""Pictures for people: a poster per scene and one sheet with all of them."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.errors import EncoderRejected
from core.settings import StillSettings
from core.values import Scene
from media.frames import SCENES_PER_BATCH, Frames, batch_frames, is_blank, sharpness
from media.timing import frame_times
from media.tools import Tools

#: Pictures of a scene from which its poster is chosen.
_CANDIDATES: Final = 5
_QUALITY: Final = 85
#: Tiles fit into this box, pixels: the sheet stays below the largest JPEG whatever shape its pictures have.
_TILE: Final = (240, 427)
_GAP, _LABEL_HEIGHT = 8, 20
_PAPER, _EMPTY, _INK = (24, 24, 24), (60, 60, 60), (230, 230, 230)
#: More tiles than this are no overview: scenes are then left out evenly.
_MAX_TILES: Final = 240


def posters(
    proxy: Path, scenes: Sequence[Scene], settings: StillSettings, folder: Path, tools: Tools
) -> tuple[Path | None, ...]:
    """Make one JPEG per scene, sharp and not black where there is a choice; None where none could be had."""
    times = frame_times(proxy)
    made: list[Path | None] = []
    for first in range(0, len(scenes), SCENES_PER_BATCH):
        batch = scenes[first : first + SCENES_PER_BATCH]
        try:
            pictures, owners = batch_frames(proxy, times, batch, _CANDIDATES, tools)
        except EncoderRejected:
            made += [None] * len(batch)
            continue
        made += [_poster(pictures[owners == scene.index], scene, settings, folder) for scene in batch]
    return tuple(made)


def contact_sheet(
    stills: Sequence[Path | None], scenes: Sequence[Scene], settings: StillSettings, target: Path
) -> Path:
    """Lay the posters out as a grid, each with its time, and write it as JPEG."""
    step = max(1, -(-len(scenes) // _MAX_TILES))
    shown = list(zip(stills, scenes, strict=True))[::step]
    tiles = [(_tile(still), scene) for still, scene in shown]
    columns = min(settings.sheet_columns, len(tiles))
    cell_height = max(tile.height for tile, _ in tiles) + _LABEL_HEIGHT + _GAP
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (_TILE[0] + _GAP) + _GAP, rows * cell_height + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for place, (tile, scene) in enumerate(tiles):
        left = _GAP + place % columns * (_TILE[0] + _GAP)
        top = _GAP + place // columns * cell_height
        sheet.paste(tile, (left, top))
        draw.text((left, top + tile.height + 2), f"{scene.index + 1}   {clock(scene.start_s)}", _INK, font)
    sheet.save(target, "JPEG", quality=_QUALITY)
    return target


def clock(time_s: Decimal) -> str:
    """Write media time as 1:02:03.4, hours only where there are some."""
    tenths = int(time_s * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{front}:{rest // 10:02}.{rest % 10}"


def fitted(image: Image.Image, box: tuple[int, int]) -> Image.Image:
    """Scale a picture to the largest size that fits into a box of (width, height), at least one pixel each way."""
    factor = min(box[0] / image.width, box[1] / image.height)
    return image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))))


def _poster(pictures: Frames, scene: Scene, settings: StillSettings, folder: Path) -> Path | None:
    if not len(pictures):
        return None
    best = max(pictures, key=lambda picture: (not is_blank(picture), sharpness(picture)))
    image = Image.fromarray(np.ascontiguousarray(best))
    factor = settings.poster_short_side / min(image.size)
    if factor < 1:
        image = image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))))
    target = folder / f"poster-{scene.index:05}.jpg"
    image.save(target, "JPEG", quality=_QUALITY)
    return target


def _tile(still: Path | None) -> Image.Image:
    if still is None:
        return Image.new("RGB", (_TILE[0], _TILE[0] * 9 // 16), _EMPTY)
    with Image.open(still) as image:
        return fitted(image.convert("RGB"), _TILE)
