"""Tiles for a player's scrub bar: a sprite of small pictures and the WebVTT that says which is when."""

import math
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from media.frames import Frames, frames_at, shown_at
from media.stills import fitted
from media.timing import FrameTimes, frame_times
from media.tools import Tools

#: Seconds between two tiles; long videos get fewer, so that there are never more than the most.
_STEP_S: Final = Decimal(2)
_MAX_TILES: Final = 400
#: Tiles fit into this box, pixels: a picture that is very tall, or very wide, must not make a sprite of gigabytes.
_TILE: Final = (160, 284)
_COLUMNS: Final = 20
SPRITE_NAME, VTT_NAME = "storyboard.jpg", "storyboard.vtt"
_QUALITY: Final = 75
#: Pictures decoded at once: memory stays flat.
_BATCH: Final = 50


def storyboard(proxy: Path, folder: Path, tools: Tools) -> tuple[Path, Path]:
    """Write the WebVTT and its sprite into a folder; give both.

    Raises:
        EncoderRejected: the proxy cannot be decoded (permanent).
    """
    times = frame_times(proxy)
    duration = Decimal(times.duration.numerator) / Decimal(times.duration.denominator)
    step = max(_STEP_S, duration / _MAX_TILES)
    starts = [step * n for n in range(max(1, math.ceil(duration / step)))]
    tiles = _tiles(proxy, times, starts, tools)
    vtt = folder / VTT_NAME
    vtt.write_text(webvtt(starts, duration, tiles[0].size), encoding="utf-8")
    return vtt, _sprite(tiles, folder / SPRITE_NAME)


def webvtt(starts: list[Decimal], duration_s: Decimal, tile: tuple[int, int]) -> str:
    """Say which part of the sprite is shown when; touches nothing."""
    width, height = tile
    cues = ["WEBVTT", ""]
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], duration_s], strict=True)):
        left, top = number % _COLUMNS * width, number // _COLUMNS * height
        cues += [f"{_stamp(start)} --> {_stamp(end)}", f"{SPRITE_NAME}#xywh={left},{top},{width},{height}", ""]
    return "\n".join(cues)


def _tiles(proxy: Path, times: FrameTimes, starts: list[Decimal], tools: Tools) -> list[Image.Image]:
    wanted = [shown_at(times, int(start * 1_000_000)) for start in starts]
    tiles = []
    for first in range(0, len(wanted), _BATCH):
        batch = wanted[first : first + _BATCH]
        distinct = sorted(set(batch))
        pictures = frames_at(proxy, times, distinct, tools)
        tiles += [_tile(pictures[distinct.index(frame)]) for frame in batch]
    return tiles


def _tile(picture: Frames) -> Image.Image:
    return fitted(Image.fromarray(np.ascontiguousarray(picture)), _TILE)


def _sprite(tiles: list[Image.Image], target: Path) -> Path:
    width, height = tiles[0].size
    rows = -(-len(tiles) // _COLUMNS)
    sheet = Image.new("RGB", (min(len(tiles), _COLUMNS) * width, rows * height))
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % _COLUMNS * width, place // _COLUMNS * height))
    sheet.save(target, "JPEG", quality=_QUALITY)
    return target


def _stamp(time_s: Decimal) -> str:
    milliseconds = int(time_s * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"
