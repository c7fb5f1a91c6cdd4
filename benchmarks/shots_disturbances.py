"""What happens within a shot and is no cut, and takes a detector in: light, hands and things in the way."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Frames = NDArray[np.uint8]
#: How often a shot is disturbed at all.
SHARE = 0.45


def disturb(shot: Frames, rng: np.random.Generator) -> Frames:
    """Now and then do to a shot what happens to shots; gives as many frames."""
    if len(shot) < 30 or rng.random() > SHARE:
        return shot
    return KINDS[int(rng.integers(len(KINDS)))](shot, rng)


def flash(shot: Frames, rng: np.random.Generator) -> Frames:
    """Fire a photographer's flash for one to three frames."""
    at, length = int(rng.integers(8, len(shot) - 10)), int(rng.integers(1, 4))
    lit = shot.copy()
    lit[at : at + length] = np.clip(lit[at : at + length] * 1.3 + rng.uniform(50, 130), 0, 255)
    return lit


def wave(shot: Frames, rng: np.random.Generator) -> Frames:
    """Let the light swell and sink."""
    light = 1 + 0.35 * np.sin(np.linspace(0, rng.uniform(2, 7), len(shot)))[:, None, None, None]
    return np.clip(shot * light, 0, 255).astype(np.uint8)


def exposure(shot: Frames, rng: np.random.Generator) -> Frames:
    """Let the camera correct its exposure within a few frames, and keep it."""
    at, length, target = int(rng.integers(8, len(shot) - 15)), int(rng.integers(1, 8)), rng.choice([0.55, 1.6])
    light = np.interp(np.arange(len(shot)), [at, at + length], [1, target])[:, None, None, None]
    return np.clip(shot * light, 0, 255).astype(np.uint8)


def whip(shot: Frames, rng: np.random.Generator) -> Frames:
    """Turn the camera fast to the side and onwards, blurred, to where the picture is its own mirror image."""
    width = shot.shape[2]
    at, length = int(rng.integers(8, len(shot) - 16)), int(rng.integers(5, 12))
    wide = np.concatenate([shot, shot[:, :, ::-1]], axis=2)
    ease = np.interp(np.arange(len(shot)), [at, at + length], [0, 1])
    place = np.round((3 * ease**2 - 2 * ease**3) * width).astype(int)
    turned = np.stack([np.roll(picture, -int(p), axis=1)[:, :width] for picture, p in zip(wide, place, strict=True)])
    for index in range(at, at + length):
        blur = max(1, int(place[index + 1] - place[index]))
        sums = np.cumsum(np.pad(turned[index].astype(np.int64), ((0, 0), (blur, 0), (0, 0)), mode="edge"), axis=1)
        turned[index] = (sums[:, blur:] - sums[:, :-blur]) // blur
    return turned


def shake(shot: Frames, rng: np.random.Generator) -> Frames:
    """Hold the camera badly."""
    moves = rng.normal(0, 5, (len(shot), 2)).round().astype(int)
    return np.stack([np.roll(picture, tuple(move), axis=(0, 1)) for picture, move in zip(shot, moves, strict=True)])


def caption(shot: Frames, rng: np.random.Generator) -> Frames:
    """Show a bar with letters for a while."""
    at = int(rng.integers(6, len(shot) - 12))
    until, top = min(len(shot), at + int(rng.integers(10, 40))), int(rng.uniform(0.05, 0.75) * shot.shape[1])
    bar = Image.new("RGB", (int(shot.shape[2] * rng.uniform(0.4, 1)), int(shot.shape[1] * 0.2)), "black")
    ImageDraw.Draw(bar).text((6, 2), "in other news today", fill="white", font_size=bar.height * 0.6)
    titled = shot.copy()
    titled[at:until, top : top + bar.height, : bar.width] = np.asarray(bar)[: shot.shape[1] - top]
    return titled


def passer(shot: Frames, rng: np.random.Generator) -> Frames:
    """Let something large go by close to the camera."""
    height, width = shot.shape[1:3]
    size, length = int(width * rng.uniform(0.25, 0.6)), int(rng.integers(8, 25))
    at, colour = int(rng.integers(4, len(shot) - 5)), rng.integers(0, 200, 3)
    crossed = shot.copy()
    for step in range(min(length, len(shot) - at)):
        left = int(np.interp(step, [0, length], [-size, width]))
        crossed[at + step, height // 6 :, max(0, left) : max(0, left + size)] = colour
    return crossed


def stutter(shot: Frames, rng: np.random.Generator) -> Frames:
    """Show each picture several times and pass over others, as cheap cameras and converted films do."""
    held = int(rng.integers(2, 6))
    return shot[np.arange(len(shot)) // held * held]


def zoom(shot: Frames, rng: np.random.Generator) -> Frames:
    """Zoom in within a second."""
    at, length = int(rng.integers(4, len(shot) - 20)), int(rng.integers(10, 20))
    height, width = shot.shape[1:3]
    nearer = 1 / np.interp(np.arange(len(shot)), [at, at + length], [1, rng.uniform(1.5, 2.5)])
    zoomed = []
    for picture, part in zip(shot, nearer, strict=True):
        box = (width * (1 - part) / 2, height * (1 - part) / 2, width * (1 + part) / 2, height * (1 + part) / 2)
        zoomed.append(np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR, box=box)))
    return np.stack(zoomed)


KINDS: tuple[Callable[[Frames, np.random.Generator], Frames], ...] = (
    flash, wave, exposure, whip, shake, caption, passer, stutter, zoom,
)  # fmt: skip
