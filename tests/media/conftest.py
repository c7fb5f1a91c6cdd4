"""Synthetic sources, made once per session; what they hold is known by construction."""

import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from core.settings import LimitSettings, MediaSettings
from core.values import MediaFacts, Rung
from media.assembly import FILM_NAME, Assembled, assemble
from media.chunks import chunks_for, encode_chunk
from media.hls import AUDIO, MASTER_NAME, Variant, master_playlist, media_playlist, playlist_name, track_of
from media.joining import mux
from media.ladder import rungs_for
from media.sound import encode_audio
from media.tools import Tools, find_tools
from media.validation import inspect

#: One second each of black, grey and white: cuts are exactly at 1 s and 2 s.
THREE_SHOTS = "color=black:r=24:s=320x180:d=1[a];color=gray:r=24:s=320x180:d=1[b];color=white:r=24:s=320x180:d=1[c];"
THREE_SHOTS += "[a][b][c]concat=n=3"
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]

Make = Callable[..., Path]
Become = Callable[..., tuple[MediaFacts, "Made"]]


@dataclass(frozen=True)
class Made:
    """Everything that is made of a source, in one folder, as the tasks make it."""

    assembled: Assembled
    audio: Path | None
    film: Path | None

    @property
    def frames(self) -> int:
        return self.assembled.frames

    @property
    def duration_s(self) -> Decimal:
        return self.assembled.duration_s

    @property
    def degraded(self) -> tuple[str, ...]:
        return self.assembled.degraded

    @property
    def proxy(self) -> Path | None:
        return self.assembled.proxy

    @property
    def rungs(self) -> dict[str, Path]:
        return {name: made.path for name, made in self.assembled.rungs.items()}


def make_all(
    source: Path,
    facts: MediaFacts,
    settings: MediaSettings,
    folder: Path,
    tools: Tools,
    limits: LimitSettings,
    *,
    rungs: Sequence[Rung] | None = None,
    with_proxy: bool = True,
) -> Made:
    """Encode every chunk of a source and its sound, join them, write the playlists and the film."""
    rungs = rungs_for(facts, settings) if rungs is None else rungs
    common = {"settings": settings, "limits": limits, "tools": tools}
    done = []
    for chunk in chunks_for(facts, settings):
        where = folder / f"chunk{chunk.index}"
        where.mkdir()
        done.append((encode_chunk(source, facts, chunk, rungs, with_proxy=with_proxy, folder=where, **common), where))

    def pieces_of(name: str) -> Iterator[Path]:
        yield from (where / made.pieces[name] for made, where in done if made.frames)

    out = folder / "out"
    out.mkdir()
    # The order in which chunks end does not matter.
    chunks = [made for made, _ in reversed(done)]
    assembled = assemble(chunks, pieces_of, facts, rungs, with_proxy=with_proxy, limits=limits, folder=out, tools=tools)
    audio = encode_audio(source, facts, folder=out, **common)
    film = mux(next(iter(assembled.rungs.values())).path, audio, out / FILM_NAME, tools) if rungs else None
    variants = []
    for rung in rungs:
        made = assembled.rungs[rung.name]
        (out / playlist_name(rung.name)).write_text(media_playlist(made.track))
        bps = (made.track.average_bps, made.track.peak_bps)
        variants.append(Variant(rung.name, *bps, rung.width, rung.height, made.codec, made.frame_rate))
    sound = track_of(audio, AUDIO) if audio else None
    if sound:
        (out / playlist_name(AUDIO)).write_text(media_playlist(sound))
    (out / MASTER_NAME).write_text(master_playlist(variants, sound and (sound.average_bps, sound.peak_bps)))
    return Made(assembled, audio, film)


def written(tmp_path: Path, content: bytes, name: str = "upload") -> Path:
    """Write what a source holds."""
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.fixture
def become(request: pytest.FixtureRequest, tmp_path: Path, tools: Tools, limits: LimitSettings) -> Become:
    """Validate and transcode a source, by SETTINGS of its module; what was said of it, and what was made."""

    def become(source: Path, settings: MediaSettings = request.module.SETTINGS) -> tuple[MediaFacts, Made]:
        facts = inspect(source, tools, limits)
        return facts, make_all(source, facts, settings, tmp_path, tools, limits)

    return become


@pytest.fixture(scope="session")
def tools() -> Tools:
    return find_tools(MediaSettings(threads=2))


@pytest.fixture(scope="session")
def is_old(tools: Tools) -> bool:
    """Whether this is ffmpeg 5: it ends the last picture by the mean rate, and SVT-AV1 cannot be told its keyframes."""
    return tools.version.removeprefix("n").startswith("5.")


@pytest.fixture(scope="session")
def limits() -> LimitSettings:
    return LimitSettings()


@pytest.fixture(scope="session")
def make(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Run ffmpeg with these arguments and the output's name; the same is made once."""
    folder = tmp_path_factory.mktemp("sources")
    made: dict[tuple[str, ...], Path] = {}

    def make(name: str, *args: str) -> Path:
        target = made.setdefault((name, *args), folder / str(len(made)) / name)
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            command = [str(tools.ffmpeg), "-nostdin", "-v", "error", "-y", *args, str(target)]
            subprocess.run(command, check=True, timeout=60)
        return target

    return make


@pytest.fixture(scope="session")
def film(make: Make) -> Path:
    """Three seconds with sound and B-frames."""
    return make(
        "film.mp4",
        *("-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=3", "-f", "lavfi", "-i", "sine=440:d=3"),
        *("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "25", "-c:a", "aac"),
    )


@pytest.fixture(scope="session")
def three_shots(make: Make) -> Path:
    return make("three_shots.mp4", "-f", "lavfi", "-i", THREE_SHOTS, *H264)


@pytest.fixture(scope="session")
def variable_rate(make: Make) -> Path:
    """30 frames/s in the first second, 10 after it; B-frames."""
    return make(
        "variable_rate.mp4",
        *("-f", "lavfi", "-i", "testsrc2=r=30:s=320x180:d=4"),
        *(
            "-vf",
            "select='lt(t,1)+not(mod(n,3))'",
            "-fps_mode",
            "passthrough",
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
        ),
        *("-pix_fmt", "yuv420p"),
    )


@pytest.fixture(scope="session")
def late_start(make: Make) -> Path:
    """Pictures begin 1.4 s into the file, sound at once."""
    return make(
        "late_start.mkv",
        *("-itsoffset", "1.4", "-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=2"),
        *("-f", "lavfi", "-i", "sine=440:d=3.4", "-map", "0", "-map", "1", *H264, "-c:a", "aac"),
    )


@pytest.fixture(scope="session")
def negative_start(make: Make) -> Path:
    """The first pictures lie before zero on the source's clock."""
    return make(
        "negative_start.ts",
        *("-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=3", "-vf", "setpts=PTS-1/TB", "-fps_mode", "passthrough"),
        *("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-avoid_negative_ts", "disabled"),
        *("-muxdelay", "0", "-muxpreload", "0", "-f", "mpegts"),
    )


def turned(source: Path) -> Path:
    """Give a copy with another display matrix in its track header: a quarter turn, as telephones write it."""
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    matrix = struct.pack(">9i", 0, -(1 << 16), 0, 1 << 16, 0, 0, 0, 0, 1 << 30)
    content = source.read_bytes()
    # The first matrix is the movie's, the second that of the first track, the pictures.
    at = content.index(upright, content.index(upright) + 1)
    target = source.with_name(f"turned_{source.name}")
    target.write_bytes(content[:at] + matrix + content[at + len(matrix) :])
    return target


@pytest.fixture(scope="session")
def rotated(film: Path) -> Path:
    """The film as a telephone that was held upright writes it."""
    return turned(film)


@pytest.fixture(scope="session")
def interlaced(make: Make) -> Path:
    return make(
        "interlaced.mp4",
        *("-f", "lavfi", "-i", "testsrc2=r=50:s=320x180:d=2", "-vf", "tinterlace=interleave_top,setfield=tff"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-flags", "+ildct+ilme", "-pix_fmt", "yuv420p"),
    )
