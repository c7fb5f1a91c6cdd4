"""Shot detectors side by side: precision, recall, F1 and speed, each in the same run on the same films.

`python -m benchmarks.shots [--boundaries N] [--seed S]` composes a film of its own and, where the folder
DAILIES_SAMPLES has a `scenebench` folder inside, also judges on that real footage.
A hit: within 2 frames of a cut, or inside a gradual transition (2 frames wider); one detection, one boundary.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.shots_film import FRAME_RATE, Boundary, compose
from core.settings import MediaSettings
from media import shots, transnet
from media.frames import all_frames
from media.timing import FrameTimes
from media.tools import Tools, find_tools

TOLERANCE = 2  # frames

Frames = NDArray[np.uint8]
Find = Callable[[Frames], list[int]]


@dataclass(frozen=True)
class Contender:
    """A detector and the pictures it is fed."""

    name: str
    width: int
    height: int
    pixel_format: str
    find: Find


def of_pyscenedetect(kind: str) -> Find:
    def find(frames: Frames) -> list[int]:
        from scenedetect import detectors
        from scenedetect.common import FrameTimecode

        detector = getattr(detectors, kind)()
        found: list[Any] = []
        for index, picture in enumerate(frames):
            found += detector.process_frame(FrameTimecode(index, fps=Fraction(FRAME_RATE)), picture)
        found += detector.post_process(FrameTimecode(len(frames), fps=Fraction(FRAME_RATE)))
        return sorted({cut.frame_num for cut in found} - {0})

    return find


def of_ours(find: shots.Detector) -> Find:
    def run(frames: Frames) -> list[int]:
        times = FrameTimes(np.arange(len(frames), dtype=np.int64), 1, Fraction(1, FRAME_RATE))
        batches: Iterator[Frames] = (frames[start : start + 256] for start in range(0, len(frames), 256))
        return [cut.frame for cut in find(batches, times)]

    return run


def transnet_alone(frames: Frames) -> list[int]:
    """The package's own prediction and its own way from probabilities to scenes."""
    import torch

    network, _, _ = transnet._network()  # noqa: SLF001 - the same weights, loaded once
    boundary, _ = network.predict_frames(torch.from_numpy(frames), quiet=True)
    scenes = network.predictions_to_scenes(boundary.cpu().numpy())
    return [int(start) for start, _ in scenes if start > 0]


def contenders() -> list[Contender]:
    rivals = ["ContentDetector", "AdaptiveDetector", "HashDetector", "HistogramDetector"]
    listed = [
        Contender(f"PySceneDetect {k.removesuffix('Detector')}", 64, 36, "bgr24", of_pyscenedetect(k)) for k in rivals
    ]
    listed.append(Contender("TransNetV2 alone", transnet.WIDTH, transnet.HEIGHT, "rgb24", transnet_alone))
    recipes = dict(shots.DETECTORS)
    if "transnet" not in recipes:
        recipes["transnet"] = shots.DetectorRecipe(
            transnet.find_transnet_cuts, transnet.WIDTH, transnet.HEIGHT, "rgb24"
        )
    for name, recipe in recipes.items():
        listed.append(
            Contender(f"ours: {name}", recipe.width, recipe.height, recipe.pixel_format, of_ours(recipe.find))
        )
    return listed


def scdet(film: Path, tools: Tools) -> list[int]:
    """Ask ffmpeg's own detector, at its default threshold."""
    filters = "scdet,metadata=print:key=lavfi.scd.time:file=-"
    argv = [str(tools.ffmpeg), "-nostdin", "-v", "error", "-i", str(film), "-vf", filters, "-f", "null", "-"]
    printed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return [round(float(s) * FRAME_RATE) for s in re.findall(r"lavfi\.scd\.time=([\d.]+)", printed)]


def judge(found: list[int], truth: list[Boundary]) -> tuple[float, float, float]:
    """Give precision, recall and F1."""
    free, hits = sorted(found), 0
    for boundary in truth:
        # The new shot of a transition may be said to begin one frame after its last.
        low, high = boundary.first - TOLERANCE, boundary.last + TOLERANCE
        match = next((frame for frame in free if low <= frame <= high), None)
        if match is not None:
            free.remove(match)
            hits += 1
    precision, recall = hits / max(1, len(found)), hits / max(1, len(truth))
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def report(title: str, film: Path, truth: list[Boundary], tools: Tools) -> None:
    cuts = [b for b in truth if b.is_cut]
    gradual = [b for b in truth if not b.is_cut]
    print(f"\n{title}: {len(cuts)} cuts, {len(gradual)} gradual")
    print(f"  {'detector':<26}{'precision':>10}{'recall':>8}{'F1':>7}{'cuts':>8}{'gradual':>9}{'frames/s':>10}")
    pictures: dict[tuple[int, int, str], Frames] = {}
    for contender in contenders():
        shape = (contender.width, contender.height, contender.pixel_format)
        if shape not in pictures:
            batches = all_frames(film, contender.width, contender.height, tools, pixel_format=contender.pixel_format)
            pictures[shape] = np.concatenate(list(batches))
        start = time.perf_counter()
        found = contender.find(pictures[shape])
        row(contender.name, found, truth, len(pictures[shape]) / (time.perf_counter() - start))
    start = time.perf_counter()
    found = scdet(film, tools)
    row("ffmpeg scdet (with decode)", found, truth, len(next(iter(pictures.values()))) / (time.perf_counter() - start))


def row(name: str, found: list[int], truth: list[Boundary], speed: float) -> None:
    precision, recall, f1 = judge(found, truth)
    # Recall of each kind; a film may have none of one.
    kinds = [judge(found, [b for b in truth if b.is_cut is is_cut])[1] for is_cut in (True, False)]
    print(
        f"  {name:<26}{precision:>10.3f}{recall:>8.3f}{f1:>7.3f}{kinds[0]:>8.3f}{kinds[1]:>9.3f}{speed:>10.0f}",
        flush=True,
    )


def sample_folder() -> Path | None:
    folder = os.environ.get("DAILIES_SAMPLES")
    if folder and Path(folder).is_dir():
        return Path(folder)
    print("set DAILIES_SAMPLES to a folder of videos to judge on real footage; photographs only", file=sys.stderr)
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boundaries", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    tools = find_tools(MediaSettings())
    samples = sample_folder()
    bench = samples / "scenebench" if samples else None
    if bench and (bench / "truth_dev.json").is_file():
        facts = json.loads((bench / "truth_dev.json").read_text())
        truth = [Boundary(t["start"], t["end"]) for t in facts["truth"]]
        report("composed real footage (dev)", bench / "dev.mp4", truth, tools)
    with tempfile.TemporaryDirectory() as scratch:
        film = Path(scratch) / "film.mp4"
        truth = compose(film, wanted.boundaries, wanted.seed, samples, tools)
        report(f"composition, seed {wanted.seed}", film, truth, tools)


if __name__ == "__main__":
    main()
