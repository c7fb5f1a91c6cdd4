"""Composes films whose boundaries are known by construction: photographs in motion and, where there are any,
sample videos, joined by cuts, dissolves, fades and wipes, with flashes and exposure waves that are no cuts.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from media.launcher import stream_ffmpeg
from media.tools import Tools

WIDTH, HEIGHT, FRAME_RATE = 256, 144, 25
SHOT_FRAMES = (18, 75)
TRANSITION_FRAMES = (6, 24)
#: How the next shot begins, and how often.
KINDS = {"cut": 0.68, "dissolve": 0.18, "fade": 0.09, "wipe": 0.05}
PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "hubble_deep_field", "immunohistochemistry", "moon",
               "page", "retina", "rocket", "text", "brick")  # fmt: skip
#: Frames of one sample video that are kept in memory; shots are cut from anywhere in them.
KEPT_FRAMES = 300

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Boundary:
    """First and last frame of a transition; a cut has one, the first frame of the new shot."""

    first: int
    last: int

    @property
    def is_cut(self) -> bool:
        return self.first == self.last


def compose(target: Path, boundaries: int, seed: int, samples: Path | None, tools: Tools) -> list[Boundary]:
    """Write a film with so many boundaries, and say where they are."""
    rng = np.random.default_rng(seed)
    shots = _shots(rng, samples, tools)
    picture = [
        "-f",
        "rawvideo",
        "-pixel_format",
        "rgb24",
        "-video_size",
        f"{WIDTH}x{HEIGHT}",
        "-framerate",
        str(FRAME_RATE),
    ]
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "25", "-pix_fmt", "yuv420p", str(target)]
    argv = [str(tools.ffmpeg), "-v", "error", "-y", *picture, "-i", "pipe:0", *encode]
    truth: list[Boundary] = []
    written = 0
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        tail = next(shots)
        while len(truth) < boundaries:
            kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
            new = next(shots)
            length = 0 if kind == "cut" else int(rng.integers(*TRANSITION_FRAMES))
            length = min(length, len(tail) // 2, len(new) // 2)
            body, end = (tail[:-length], tail[-length:]) if length else (tail, tail[:0])
            process.stdin.write(body.tobytes())
            written += len(body)
            if length < 4:
                process.stdin.write(end.tobytes())
                written += len(end)
                truth.append(Boundary(written, written))
                tail = new[length:]
                continue
            process.stdin.write(_transition(kind, end, new[:length]).tobytes())
            truth.append(Boundary(written, written + length - 1))
            written += length
            tail = new[length:]
        process.stdin.write(tail.tobytes())
    if process.returncode:
        raise SystemExit(f"ffmpeg could not compose the film: status {process.returncode}")
    return truth


def _transition(kind: str, old: Frames, new: Frames) -> Frames:
    share = np.linspace(0, 1, len(old))[:, None, None, None]
    if kind == "wipe":
        is_new = np.arange(WIDTH)[None, None, :, None] < share * WIDTH
        return np.where(is_new, new, old)
    if kind == "fade":
        mixed = old * np.clip(1 - 2 * share, 0, 1) + new * np.clip(2 * share - 1, 0, 1)
    else:
        mixed = old * (1 - share) + new * share
    return mixed.astype(np.uint8)


def _shots(rng: np.random.Generator, samples: Path | None, tools: Tools) -> Iterator[Frames]:
    """Give shots for ever, never two from one source in a row."""
    sources: list[Image.Image | Frames] = list(_photographs())
    if samples:
        sources += [_footage(path, tools) for path in sorted(samples.iterdir()) if path.is_file()]
    before = -1
    while True:
        index = int(rng.integers(len(sources)))
        if index == before:
            continue
        before = index
        source, count = sources[index], int(rng.integers(*SHOT_FRAMES))
        shot = _move(source, count, rng) if isinstance(source, Image.Image) else _stretch(source, count, rng)
        yield _disturb(shot, rng)


def _photographs() -> Iterator[Image.Image]:
    from skimage import data

    for name in PHOTOGRAPHS:
        yield Image.fromarray(getattr(data, name)()).convert("RGB")


def _footage(path: Path, tools: Tools) -> Frames:
    size = WIDTH * HEIGHT * 3
    picture = ["-vf", f"scale={WIDTH}:{HEIGHT}", "-frames:v", str(KEPT_FRAMES), "-f", "rawvideo", "-pix_fmt", "rgb24"]
    with stream_ffmpeg(tools, ["-i", f"file:{path}", "-map", "0:V:0", *picture, "pipe:1"]) as process:
        pixels = process.read(size * KEPT_FRAMES)
        process.finish()
    return np.frombuffer(pixels, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)


def _stretch(footage: Frames, count: int, rng: np.random.Generator) -> Frames:
    count = min(count, len(footage))
    start = int(rng.integers(len(footage) - count + 1))
    return footage[start : start + count]


def _move(photograph: Image.Image, count: int, rng: np.random.Generator) -> Frames:
    """Pan and zoom over a photograph, at times by hand."""
    ends = rng.uniform([0, 0, 0.5], [1, 1, 1], (2, 3))
    ends[1] = ends[0] + (ends[1] - ends[0]) * rng.uniform(0, 0.6)
    shake = rng.normal(0, rng.choice([0, 0, 0.004]), (count, 2)).cumsum(axis=0)
    frames = []
    for index in range(count):
        x, y, size = ends[0] + (ends[1] - ends[0]) * index / count
        width = min(photograph.width, photograph.height * WIDTH / HEIGHT) * size
        height = width * HEIGHT / WIDTH
        left = np.clip(x + shake[index, 0], 0, 1) * (photograph.width - width)
        top = np.clip(y + shake[index, 1], 0, 1) * (photograph.height - height)
        box = (left, top, left + width, top + height)
        frames.append(np.asarray(photograph.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=box)))
    return np.stack(frames)


def _disturb(shot: Frames, rng: np.random.Generator) -> Frames:
    """Now and then a photographer's flash or a change of light, which are no cuts."""
    what = rng.random()
    if what < 0.12 and len(shot) > 30:
        at = int(rng.integers(8, len(shot) - 10))
        shot = shot.copy()
        shot[at : at + 2] = np.clip(shot[at : at + 2] * 1.3 + 110, 0, 255)
    elif what < 0.24:
        wave = 1 + 0.35 * np.sin(np.linspace(0, rng.uniform(2, 7), len(shot)))[:, None, None, None]
        shot = np.clip(shot * wave, 0, 255).astype(np.uint8)
    return shot
