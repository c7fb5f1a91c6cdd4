"""Three ways from a source to its rungs, each a whole process: `python -m benchmarks.transcode_ways WAY SOURCE FOLDER`.

`ours` is the media work of an ingest; `bare` is one line that a person would write for the same rungs, and `stages`
is a pipeline in which each step reads the source for itself. The last two know nothing of the product but the recipes.
"""

import argparse
import os
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

CORES = os.cpu_count() or 1
#: Chunks that an ingest encodes at a time.
AT_ONCE = max(2, CORES // 4)
#: Pictures that the embedding looks at, per second of video: about four a scene.
STILLS_PER_S = 1
STILLS_AT_ONCE = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=("ours", "reads", "bare", "stages"))
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ffmpeg", type=Path)
    parser.add_argument("--recipe", action="append", default=[], help="WIDTHxHEIGHT:CRF:KBPS of a rung")
    parser.add_argument("--settings", default="{}", help="media settings, as JSON")
    wanted = parser.parse_args()
    if wanted.way == "ours":
        ours(wanted.source, wanted.folder, wanted.settings)
    elif wanted.way == "reads":
        reads(wanted.folder / "proxy.mp4")
    elif wanted.way == "bare":
        # In place of this process: it must not count.
        os.execv(wanted.ffmpeg, [str(wanted.ffmpeg), *bare(wanted.source, wanted.folder, wanted.recipe)])
    else:
        stages(wanted.ffmpeg, wanted.source, wanted.folder, wanted.recipe)


def ours(source: Path, folder: Path, settings_json: str) -> None:
    from core.settings import LimitSettings, MediaSettings
    from media.assembly import FILM_NAME, assemble
    from media.chunks import Chunk, EncodedChunk, chunks_for, encode_chunk
    from media.joining import mux
    from media.ladder import rungs_for
    from media.sound import encode_audio
    from media.tools import find_tools
    from media.validation import inspect

    settings, limits = MediaSettings.model_validate_json(settings_json), LimitSettings()
    tools = find_tools(settings)
    facts = inspect(source, tools, limits)
    rungs, chunks = rungs_for(facts, settings), chunks_for(facts, settings)
    # As in an ingest: the chunks that are encoded at a time share the processors, a single one has them all.
    shared = tools if len(chunks) == 1 else replace(tools, threads=max(1, CORES // AT_ONCE))

    def encode(chunk: Chunk) -> EncodedChunk:
        own = folder / f"chunk{chunk.index}"
        own.mkdir()
        return encode_chunk(
            source, facts, chunk, rungs, with_proxy=True, settings=settings, limits=limits, folder=own, tools=shared
        )

    with ThreadPoolExecutor(AT_ONCE) as pool:
        sound = pool.submit(encode_audio, source, facts, settings=settings, limits=limits, folder=folder, tools=tools)
        made = list(pool.map(encode, chunks))

    def pieces_of(name: str) -> Iterator[Path]:
        return (folder / f"chunk{one.index}" / one.pieces[name] for one in made if one.frames)

    done = assemble(made, pieces_of, facts, rungs, with_proxy=True, limits=limits, folder=folder, tools=tools)
    mux(next(iter(done.rungs.values())).path, sound.result(), folder / FILM_NAME, tools)


def reads(proxy: Path) -> None:
    """Find cuts in the proxy as cheaply as the separate stages do in the source, and read what embedding looks at."""
    from core.settings import MediaSettings, ShotSettings
    from media.frames import frames_at, shown_at
    from media.shots import detect_shots
    from media.timing import frame_times
    from media.tools import find_tools

    tools, times = find_tools(MediaSettings()), frame_times(proxy)
    detect_shots(proxy, ShotSettings(detector="fast"), tools)
    wanted = [shown_at(times, second * 1_000_000) for second in range(int(times.duration) * STILLS_PER_S)]
    for first in range(0, len(wanted), STILLS_AT_ONCE):
        frames_at(proxy, times, wanted[first : first + STILLS_AT_ONCE], tools)


def bare(source: Path, folder: Path, recipes: Sequence[str]) -> list[str]:
    """Write the one line: chained scaling, sound once, into the largest rung."""
    sizes = [recipe.split(":")[0].split("x") for recipe in recipes]
    chains, last = [], "0:v:0"
    for index, (width, height) in enumerate(sizes):
        scaled = f"[{last}]scale={width}:{height}"
        chains.append(f"{scaled},split[v{index}][c{index}]" if index + 1 < len(sizes) else f"{scaled}[v{index}]")
        last = f"c{index}"
    line = ["-nostdin", "-v", "error", "-y", "-i", str(source), "-filter_complex", ";".join(chains)]
    for index, recipe in enumerate(recipes):
        sound = ["-map", "0:a:0?", "-c:a", "aac", "-b:a", "128k"] if index == 0 else []
        line += ["-map", f"[v{index}]", *sound, *_encoder(recipe), str(folder / f"{sizes[index][1]}p.mp4")]
    return line


def stages(ffmpeg: Path, source: Path, folder: Path, recipes: Sequence[str]) -> None:
    """Validate by decoding all of it, encode rung by rung, look for cuts in the source, and seek for each still."""
    from scenedetect import ContentDetector, detect

    run = [str(ffmpeg), "-nostdin", "-v", "error", "-y"]
    subprocess.run([*run, "-i", str(source), "-f", "null", "-"], check=True)
    for recipe in recipes:
        width, height = recipe.split(":")[0].split("x")
        target = str(folder / f"{height}p.mp4")
        scale = ["-vf", f"scale={width}:{height}", "-c:a", "aac", "-b:a", "128k"]
        subprocess.run([*run, "-i", str(source), *scale, *_encoder(recipe), target], check=True)
    detect(str(source), ContentDetector())
    asked = subprocess.run([str(ffmpeg), "-i", str(source)], capture_output=True, text=True, check=False).stderr
    hours, minutes, rest = asked.split("Duration: ")[1].split(",")[0].split(":")
    length = int(hours) * 3600 + int(minutes) * 60 + int(float(rest))
    for index in range(length * STILLS_PER_S):
        seek = ["-ss", f"{index / STILLS_PER_S:g}", "-i", str(source)]
        subprocess.run([*run, *seek, "-frames:v", "1", "-vf", "scale=-2:224", str(folder / "still.jpg")], check=True)


def _encoder(recipe: str) -> list[str]:
    _, crf, kbps = recipe.split(":")
    return [
        *(
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-crf",
            crf,
            "-maxrate",
            f"{kbps}k",
            "-bufsize",
            f"{2 * int(kbps)}k",
        ),
        *("-pix_fmt", "yuv420p", "-profile:v", "high", "-sc_threshold", "0", "-flags", "+cgop", "-g", "2000"),
        *("-force_key_frames", "expr:gte(t,n_forced*2)", "-fps_mode", "passthrough", "-movflags", "+faststart"),
    ]


if __name__ == "__main__":
    main()
