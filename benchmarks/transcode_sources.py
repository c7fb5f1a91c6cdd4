"""1080p sources for the transcoding benchmark: real footage where there is some, else the demo film."""

import os
import subprocess
import sys
from pathlib import Path

from media.tools import Tools

VIDEOS = {".mp4", ".mkv", ".mov", ".webm", ".avi"}
#: Seconds of each piece of footage; no multiple of a segment, so that cuts and borders fall together nowhere.
PIECE_S = 4.3
BASE_S = 60
FRAME_RATE = 30
FIT = "scale=1920:1080:force_original_aspect_ratio=decrease,pad=1920:1080:-1:-1,setsar=1"


def samples() -> list[Path]:
    """Give the videos of the folder DAILIES_SAMPLES; none when it is not set."""
    folder = os.environ.get("DAILIES_SAMPLES")
    if folder and Path(folder).is_dir():
        return sorted(p for p in Path(folder).iterdir() if p.suffix in VIDEOS)
    print("set DAILIES_SAMPLES to a folder of videos to measure on real footage; the demo film alone", file=sys.stderr)
    return []


def compose(folder: Path, lengths: list[int], tools: Tools) -> dict[int, Path]:
    """Make one source for each length in seconds: a minute of footage with sound, cut or looped without encoding."""
    base = folder / "source.mp4"
    pieces = samples() or [_demo_film(folder, tools)]
    count = -(-BASE_S * 10 // int(PIECE_S * 10))
    args, chains = [], []
    for index in range(count):
        piece = pieces[index % len(pieces)]
        # Another part of the same footage each time round.
        skip = index // len(pieces) * PIECE_S
        args += ["-stream_loop", "-1", "-ss", f"{skip:g}", "-t", f"{PIECE_S:g}", "-i", str(piece)]
        chains.append(f"[{index}:v:0]fps={FRAME_RATE},{FIT},format=yuv420p,trim=duration={PIECE_S:g}[p{index}]")
    joined = "".join(f"[p{index}]" for index in range(count))
    graph = ";".join([*chains, f"{joined}concat=n={count}:v=1[v]", "anoisesrc=color=pink:seed=1,lowpass=f=3000[a]"])
    # What a phone or an export sends: keyframes seldom, B-frames, more bits than any rung.
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-c:a", "aac", "-b:a", "128k"]
    run(tools, *args, "-filter_complex", graph, "-map", "[v]", "-map", "[a]", "-t", str(BASE_S), *encode, str(base))
    return {length: _of_length(base, length, tools) for length in lengths}


def _of_length(base: Path, length: int, tools: Tools) -> Path:
    if length == BASE_S:
        return base
    target = base.with_name(f"source{length}.mp4")
    loops = -(-length // BASE_S) - 1
    run(tools, "-stream_loop", str(loops), "-i", str(base), "-t", str(length), "-c", "copy", str(target))
    return target


def _demo_film(folder: Path, tools: Tools) -> Path:
    from cli.demo_film import compose as compose_demo

    film = folder / "demo.mp4"
    compose_demo(film, tools)
    return film


def run(tools: Tools, *args: str) -> None:
    subprocess.run([str(tools.ffmpeg), "-nostdin", "-v", "error", "-y", *args], check=True)
