"""Composes the demo's half-minute film from photographs that the scikit-image wheel ships: no download."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import MissingDependency
from media import launcher

if TYPE_CHECKING:
    from media.tools import Tools

WIDTH, HEIGHT = 1280, 720
FRAME_RATE: Final = 25
#: The one gradual transition of the film; all others are hard cuts.
DISSOLVE_FRAMES: Final = 20


@dataclass(frozen=True)
class DemoScene:
    """What the film shows in [start_s, end_s), and what a person would type to find it."""

    name: str
    query: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class _View:
    """A 16:9 window on a photograph.

    Attributes:
        x, y: where the window lies, 0 at the left and top edge, 1 at the right and bottom edge.
        size: width of the window as a share of the widest that fits.
    """

    x: float
    y: float
    size: float


@dataclass(frozen=True)
class _Take:
    """One photograph and the slow move of the camera over it."""

    name: str
    query: str
    #: Function of skimage.data that reads the photograph from the wheel.
    photograph: str
    frames: int
    first: _View
    last: _View
    #: Whether the take before dissolves into this one.
    is_dissolved_into: bool = False


_TAKES: Final = (
    _Take("cat", "a cat", "chelsea", 110, _View(0.5, 0.5, 1.0), _View(0.8, 0.4, 0.7)),
    _Take("coffee", "a cup of coffee", "coffee", 105, _View(0.6, 0.1, 0.6), _View(0.5, 0.5, 1.0)),
    _Take("rocket", "a rocket launch", "rocket", 115, _View(0.5, 1.0, 1.0), _View(0.5, 0.5, 0.8)),
    _Take("astronaut", "an astronaut", "astronaut", 120, _View(0.5, 1.0, 0.3), _View(0.5, 0.6, 1.0)),
    _Take("motorcycle", "a motorcycle", "stereo_motorcycle", 105, _View(0.0, 0.5, 0.8), _View(1.0, 0.6, 0.8)),
    _Take("coins", "coins", "coins", 105, _View(0.5, 0.2, 0.8), _View(0.5, 0.8, 0.95)),
    _Take("moon", "the moon", "moon", 110, _View(0.2, 0.1, 0.8), _View(0.6, 0.6, 1.0), is_dissolved_into=True),
)


def compose(target: Path, tools: "Tools") -> tuple[DemoScene, ...]:
    """Write the film to `target` (MP4, H.264, AAC) and list its scenes, which cover it without gap or overlap.

    A dissolve belongs half to each of its scenes.

    Raises:
        MissingDependency: the photographs are not installed (permanent).
        EncoderKilled, EncoderStalled: the composition was ended (transient).
        EncoderRejected: this ffmpeg cannot compose it (permanent).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="demo-", dir=target.parent) as scratch:
        folder = Path(scratch).absolute()
        picture = ["-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{WIDTH}x{HEIGHT}"]
        picture += ["-framerate", str(FRAME_RATE)]
        inputs: list[str] = []
        moves: list[str] = []
        for take in _TAKES:
            photograph = _photograph(take.photograph)
            raw = folder / f"{take.name}.rgb"
            raw.write_bytes(_canvas(photograph).tobytes())
            inputs += [*picture, "-i", f"file:{raw}"]
            moves.append(_move(take, photograph.shape[1] / photograph.shape[0]))
        launcher.run_ffmpeg(tools, [*inputs, *_output_args(_graph(moves))], cwd=folder)
        (folder / "film.mp4").replace(target)
    return _scenes(_TAKES)


def _photograph(name: str) -> NDArray[np.uint8]:
    """Read one photograph from the wheel: (height, width, 3), RGB."""
    try:
        from skimage import data
    except ImportError as error:
        raise MissingDependency(
            "the demo film is made of photographs from scikit-image; run `pip install 'scikit-image>=0.26'`, "
            "or give `dailies demo` a video of your own"
        ) from error
    photograph = getattr(data, name)()
    if isinstance(photograph, tuple):  # a stereo pair with its disparity: the left eye will do
        photograph = photograph[0]
    return np.asarray(Image.fromarray(photograph).convert("RGB"))


def _canvas(photograph: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Enlarge the photograph and pad it to the size of the film, within which the camera moves."""
    height, width = photograph.shape[:2]
    canvas = Image.new("RGB", (WIDTH, HEIGHT))
    scale = min(WIDTH / width, HEIGHT / height)
    enlarged = Image.fromarray(photograph).resize((round(width * scale), round(height * scale)))
    canvas.paste(enlarged, ((WIDTH - enlarged.width) // 2, (HEIGHT - enlarged.height) // 2))
    return np.asarray(canvas)


def _window(view: _View, aspect: float) -> tuple[float, float, float]:
    """Place a view on the padded canvas: (left, top, width), each as a share of the canvas."""
    relative = aspect * HEIGHT / WIDTH  # below 1 the padding is at the sides, above 1 at top and bottom
    picture_width, picture_height = min(1.0, relative), min(1.0, 1 / relative)
    width = view.size * min(picture_width, picture_height)
    left = (1 - picture_width) / 2 + view.x * (picture_width - width)
    top = (1 - picture_height) / 2 + view.y * (picture_height - width)
    return left, top, width


def _move(take: _Take, aspect: float) -> str:
    """Build the filter that turns one still into the take's frames."""
    # Slow at both ends, as a hand on a camera is; `on` counts output frames.
    eased = f"(0.5-0.5*cos(PI*on/{take.frames - 1}))"
    left, top, width = (
        f"({a:.5f}+({b - a:.5f})*{eased})"
        for a, b in zip(_window(take.first, aspect), _window(take.last, aspect), strict=True)
    )
    right, bottom = f"({left}+{width})", f"({top}+{width})"
    corners = ((left, top), (right, top), (left, bottom), (right, bottom))
    places = ":".join(f"x{index}='W*{x}':y{index}='H*{y}'" for index, (x, y) in enumerate(corners))
    return (
        # BT.709, as every player takes an HD picture to be.
        f"scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,loop=loop={take.frames - 1}:size=1,"
        # zoompan would move by whole pixels, and slow moves would tremble; perspective has fractions of them.
        f"perspective={places}:sense=source:eval=frame,setsar=1,settb=1/{FRAME_RATE},setpts=N"
    )


def _graph(moves: Sequence[str]) -> str:
    """Join the takes: hard cuts by concat, the dissolve by xfade; beneath it all a soft chord."""
    chains = [f"[{index}:v]{move}[v{index}]" for index, move in enumerate(moves)]
    parts: list[str] = []
    for index, take in enumerate(_TAKES):
        if take.is_dissolved_into:
            begin = Fraction(_TAKES[index - 1].frames - DISSOLVE_FRAMES, FRAME_RATE)
            fade = f"transition=fade:duration={DISSOLVE_FRAMES / FRAME_RATE}:offset={float(begin)}"
            chains.append(f"{parts.pop()}[v{index}]xfade={fade}[x{index}]")
            parts.append(f"[x{index}]")
        else:
            parts.append(f"[v{index}]")
    chains.append(f"{''.join(parts)}concat=n={len(parts)}:v=1:a=0[video]")
    duration_s = _scenes(_TAKES)[-1].end_s
    chord = "+".join(
        f"0.02*sin(2*PI*{hertz}*t)*(1+0.5*sin(PI*t/{period}))" for hertz, period in ((220, 3), (277, 4), (330, 5))
    )
    chains.append(f"aevalsrc='{chord}':s=48000:d={duration_s}[audio]")
    return ";".join(chains)


def _output_args(graph: str) -> list[str]:
    video = ["-map", "[video]", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-pix_fmt", "yuv420p"]
    colour = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]
    audio = ["-map", "[audio]", "-c:a", "aac", "-b:a", "64k"]
    # bitexact leaves encoder versions and dates out: the same machine makes the same file.
    container = ["-movflags", "+faststart", "-fflags", "+bitexact", "-flags", "+bitexact", "film.mp4"]
    return ["-filter_complex", graph, *video, *colour, *audio, *container]


def _scenes(takes: Sequence[_Take]) -> tuple[DemoScene, ...]:
    """Work out when each take is on the screen."""
    scenes: list[DemoScene] = []
    start = 0  # frames
    for index, take in enumerate(takes):
        end = start + take.frames
        if take.is_dissolved_into:
            end -= DISSOLVE_FRAMES // 2
        if index + 1 < len(takes) and takes[index + 1].is_dissolved_into:
            end -= DISSOLVE_FRAMES // 2
        scenes.append(DemoScene(take.name, take.query, start / FRAME_RATE, end / FRAME_RATE))
        start = end
    return tuple(scenes)
