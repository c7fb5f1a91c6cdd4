"""Composes films whose boundaries are known by construction: photographs in motion and, where there are any,
sample videos, joined by cuts, jump cuts, dissolves, fades and wipes, with much in between that is no cut.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.shots_disturbances import disturb
from media.launcher import stream_ffmpeg
from media.tools import Tools

WIDTH, HEIGHT, FRAME_RATE = 256, 144, 25
SHOT_FRAMES = (18, 75)
TRANSITION_FRAMES = (6, 24)
#: How the next shot begins, and how often.
KINDS = {"cut": 0.64, "jump": 0.04, "dissolve": 0.18, "fade": 0.09, "wipe": 0.05}
PHOTOGRAPHS = ("astronaut", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "hubble_deep_field", "immunohistochemistry", "moon",
               "page", "retina", "rocket", "text", "brick")  # fmt: skip
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi")
#: Frames of one sample video that are kept in memory; shots are cut from anywhere in them.
KEPT_FRAMES = 300

Frames = NDArray[np.uint8]
#: Footage and photographs are dealt into two halves: detectors are developed on the one, and judged on the other,
#: no picture of which, and no seed, was looked at before.
Half = Literal["development", "unseen"]
_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class Boundary:
    """First and last frame of a transition; a cut has one, the first frame of the new shot."""

    first: int
    last: int

    @property
    def is_cut(self) -> bool:
        return self.first == self.last


def compose(target: Path, boundaries: int, seed: int, half: Half, samples: Path | None, tools: Tools) -> list[Boundary]:
    """Write a film with so many boundaries, and say where they are."""
    rng = np.random.default_rng([seed, half == "unseen"])
    shots = _Shots(rng, half, samples, tools)
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
        tail = shots.another()
        while len(truth) < boundaries:
            kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
            new = shots.again() if kind == "jump" else shots.another()
            length = 0 if kind in ("cut", "jump") else int(rng.integers(*TRANSITION_FRAMES))
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


class _Shots:
    """Gives shots for ever."""

    def __init__(self, rng: np.random.Generator, half: Half, samples: Path | None, tools: Tools) -> None:
        self._rng = rng
        self._sources: list[Image.Image | Frames] = list(_photographs(half))
        if samples:
            files = sorted(path for path in samples.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES)
            self._sources += [_footage(path, tools) for path in _half(files, half)]
        self._index = -1

    def another(self) -> Frames:
        """Give a shot of another source than the last one."""
        before = self._index
        while self._index == before:
            self._index = int(self._rng.integers(len(self._sources)))
        return self.again()

    def again(self) -> Frames:
        """Give a shot of the same source: another part of it, moved in another way."""
        source, count = self._sources[self._index], int(self._rng.integers(*SHOT_FRAMES))
        is_still = isinstance(source, Image.Image)
        shot = _move(source, count, self._rng) if is_still else _stretch(source, count, self._rng)
        return disturb(shot, self._rng)


def _half(things: Sequence[_Thing], half: Half) -> Sequence[_Thing]:
    return things[half == "unseen" :: 2]


def _photographs(half: Half) -> Iterator[Image.Image]:
    from skimage import data

    for name in _half(PHOTOGRAPHS, half):
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


def sample_folder() -> Path | None:
    """Give the folder of real footage, or say on stderr what to set."""
    folder = os.environ.get("DAILIES_SAMPLES")
    if folder and Path(folder).is_dir():
        return Path(folder)
    print("set DAILIES_SAMPLES to a folder of videos to judge on real footage; photographs only", file=sys.stderr)
    return None
