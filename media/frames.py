"""Pictures of the analysis proxy as arrays; the source itself is never decoded again."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.errors import EncoderRejected
from core.values import Scene
from media.allowed import own_input_args
from media.launcher import stream_ffmpeg
from media.timing import FrameTimes, frame_times, picture_size
from media.tools import Tools

#: Scenes whose pictures are held at once: memory stays flat whatever the length of the video.
SCENES_PER_BATCH: Final = 16
#: Pictures read from the pipe at once when all of them are wanted.
_FRAMES_PER_READ: Final = 256
#: A picture whose brightness varies less than this (of 255) shows nothing: black, white or fog.
_BLANK_SPREAD: Final = 6.0
#: A picture is blurred beside another of its slot that is this many times as sharp: a cut apart, focus, motion.
_BLURRED: Final = 3.0
#: Where in its slot, a part of the scene, a picture is looked for, and where else when that one is blank or blurred.
_FIRST_CHOICE, _SECOND_CHOICE = 0.5, 0.85
#: Neither read nor decoded are the others; threads would cost more than these few pictures gain by them.
_KEYFRAMES_ALONE: Final = ("-threads", "1", "-discard", "nokey", "-skip_frame", "nokey")
#: Seconds before the first wanted picture at which decoding may begin.
_SEEK_MARGIN_S: Final = 0.1

Frames = NDArray[np.uint8]


def scene_frames(
    proxy: Path, scenes: Sequence[Scene], per_scene: int, tools: Tools, *, scenes_per_batch: int = SCENES_PER_BATCH
) -> Iterator[tuple[Frames, NDArray[np.int64]]]:
    """Give pictures spread over each scene, in one pass over the proxy, a batch of scenes at a time.

    A blank or blurred picture is passed over where its neighbourhood has a better one. Every scene gets at least one
    picture and at most `per_scene`.

    Yields:
        (n, height, width, 3) RGB 0-255, and (n,) the index of each picture's scene; both in order of time.
    Raises:
        EncoderRejected: the proxy cannot be decoded (permanent).
    """
    times = frame_times(proxy)
    for first in range(0, len(scenes), scenes_per_batch):
        yield batch_frames(proxy, times, scenes[first : first + scenes_per_batch], per_scene, tools)


def batch_frames(
    proxy: Path, times: FrameTimes, scenes: Sequence[Scene], per_scene: int, tools: Tools
) -> tuple[Frames, NDArray[np.int64]]:
    """Give the pictures of some neighbouring scenes; see scene_frames."""
    slots = [(scene.index, choices) for scene in scenes for choices in _choices(times, scene, per_scene)]
    wanted = sorted({frame for _, choices in slots for frame in choices})
    pictures = frames_at(proxy, times, wanted, tools)
    place = {frame: row for row, frame in enumerate(wanted)}
    rows = [_best(pictures, [place[frame] for frame in choices]) for _, choices in slots]
    return pictures[rows], np.array([index for index, _ in slots], np.int64)


def frames_at(proxy: Path, times: FrameTimes, indexes: Sequence[int], tools: Tools) -> Frames:
    """Decode the pictures with these numbers, ascending and distinct; 0 is the first.

    No others are decoded where all of them are keyframes.

    Returns:
        (n, height, width, 3), RGB, 0-255.
    """
    width, height = picture_size(proxy)
    wanted = _any_of([f"eq(pts,{times.pts[index]})" for index in indexes])
    seek_s = max(0.0, float(times.at(indexes[0])) - _SEEK_MARGIN_S)
    alone = _KEYFRAMES_ALONE if np.isin(indexes, times.keyframes).all() else ()
    args = [*alone, "-ss", f"{seek_s:.6f}", "-copyts", *own_input_args(proxy), "-frames:v", str(len(indexes))]
    pieces = list(_decoded(args, f"select='{wanted}'", width, height, "rgb24", tools))
    pictures = np.concatenate([np.zeros((0, height, width, 3), np.uint8), *pieces])
    if len(pictures) != len(indexes):
        raise EncoderRejected(f"{proxy.name} gave {len(pictures)} of {len(indexes)} pictures")
    return pictures


def all_frames(proxy: Path, width: int, height: int, tools: Tools, *, pixel_format: str = "rgb24") -> Iterator[Frames]:
    """Decode every picture in order, scaled without regard to shape, some hundred at a time.

    Yields:
        (k, height, width, 3), 0-255, channels in the order `pixel_format` says.
    """
    return _decoded(own_input_args(proxy), f"scale={width}:{height}:flags=area", width, height, pixel_format, tools)


def _any_of(terms: Sequence[str]) -> str:
    """Join conditions, halves in parentheses: ffmpeg refuses a plain sum of more than a hundred as too deep."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return f"({_any_of(terms[:middle])}+{_any_of(terms[middle:])})"


def _decoded(
    args: Sequence[str], filters: str, width: int, height: int, pixel_format: str, tools: Tools
) -> Iterator[Frames]:
    picture = width * height * 3
    output = ["-map", "0:V:0", "-vf", filters, "-fps_mode", "passthrough", "-pix_fmt", pixel_format]
    with stream_ffmpeg(tools, [*args, *output, "-f", "rawvideo", "pipe:1"]) as process:
        while chunk := process.read(picture * min(_FRAMES_PER_READ, max(1, (64 << 20) // picture))):
            yield np.frombuffer(chunk[: len(chunk) // picture * picture], np.uint8).reshape(-1, height, width, 3)
        process.finish()


def picture_numbers(times: FrameTimes, scene: Scene) -> tuple[int, int]:
    """Give the numbers of a scene's pictures, half-open, one at least."""
    first = shown_at(times, int(scene.start_s * 1_000_000))
    return first, max(first + 1, int(np.searchsorted(times.microseconds, int(scene.end_s * 1_000_000))))


def _choices(times: FrameTimes, scene: Scene, per_scene: int) -> list[list[int]]:
    """Give, for each picture wanted of a scene, the numbers of the frames to choose it from, best first."""
    first, end = picture_numbers(times, scene)
    count = end - first
    wanted = min(per_scene, count)

    def number(slot: int, part: float) -> int:
        return first + min(count - 1, int((slot + part) * count / wanted))

    return [list(dict.fromkeys((number(s, _FIRST_CHOICE), number(s, _SECOND_CHOICE)))) for s in range(wanted)]


def shown_at(times: FrameTimes, microsecond: int) -> int:
    """Give the number of the picture that is on screen at a time."""
    return max(0, int(np.searchsorted(times.microseconds, microsecond, side="right")) - 1)


def spread(picture: Frames) -> float:
    """Standard deviation of the brightness, 0-127; small for pictures that show nothing."""
    return float(_light(picture[::2, ::2]).std()) / 3


def is_blank(picture: Frames) -> bool:
    """Whether a picture shows nothing: black, white or one colour all over."""
    return spread(picture) < _BLANK_SPREAD


def sharpness(picture: Frames) -> float:
    """Variance of the Laplacian of the brightness: large where edges are crisp."""
    light = _light(picture)
    if min(light.shape) < 3:  # noqa: PLR2004 the kernel's side
        return 0.0
    inner = light[1:-1, 1:-1]
    laplacian = light[:-2, 1:-1] + light[2:, 1:-1] + light[1:-1, :-2] + light[1:-1, 2:] - 4 * inner
    flat = laplacian.astype(np.float32).ravel()
    return float(np.dot(flat, flat) / len(flat) - flat.mean() ** 2) / 9


def _light(picture: Frames) -> NDArray[np.int16]:
    """Three times the brightness: whole numbers are several times as fast, and the Laplacian's fit 16 bits."""
    light: NDArray[np.int16] = picture[..., 0].astype(np.int16)
    return light + picture[..., 1] + picture[..., 2]


def _best(pictures: Frames, rows: Sequence[int]) -> int:
    showing = [row for row in rows if not is_blank(pictures[row])]
    if not showing:
        return max(rows, key=lambda row: spread(pictures[row]))
    sharp = {row: sharpness(pictures[row]) for row in showing} if len(showing) > 1 else {}
    return next(row for row in showing if not sharp or sharp[row] * _BLURRED >= max(sharp.values()))
