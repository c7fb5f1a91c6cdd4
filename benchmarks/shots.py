"""Shot detectors side by side: precision, recall, F1, speed and cost, each in the same run on the same films.

`python -m benchmarks.shots [--boundaries N] [--seed S] [--half development]` composes a film of its own and, where a
`scenebench` folder stands in or beside the folder DAILIES_SAMPLES, also judges on that composed real footage.
A hit: within 2 frames of a cut, or inside a gradual transition (2 frames wider); one detection, one boundary.
Cost is processor time, all threads and the decoding of the proxy included, as a share of what the transcode of the
same film took. The composition has no such share: nobody uploads 256 x 144 pixels. It fails where the default
detector is not better than each of PySceneDetect's, is worse than TransNetV2 alone by more than it may, or costs
more of the transcode than it may.
"""

import argparse
import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.proxies import Spent, transcoded
from benchmarks.shots_film import FRAME_RATE, Boundary, compose, sample_folder
from core.settings import MediaSettings, ShotSettings
from media import shots
from media.cuts import HEIGHT, WIDTH
from media.frames import all_frames
from media.tools import Tools, find_tools
from media.transnet_network import network

TOLERANCE = 2  # frames
#: What the default detector may lose in F1 to TransNetV2 alone, and cost of the transcode.
MAY_LOSE, MAY_COST = 0.02, 0.25
PYSCENEDETECT, TRANSNET_ALONE = "PySceneDetect", "TransNetV2 alone"

Frames = NDArray[np.uint8]
Find = Callable[[Frames], list[int]]


@dataclass(frozen=True)
class Contender:
    """A detector and the pictures it is fed."""

    name: str
    find: Find
    width: int = WIDTH
    height: int = HEIGHT
    pixel_format: str = "rgb24"


@dataclass(frozen=True)
class Figures:
    """What one detector did on one film."""

    f1: float
    #: Of the transcode; None where there is none to compare with.
    share: float | None


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
        batches: Iterator[Frames] = (frames[start : start + 256] for start in range(0, len(frames), 256))
        return [cut.frame for cut in find(batches, "cpu")]

    return run


def transnet_alone(frames: Frames) -> list[int]:
    """The package's own prediction and its own way from probabilities to scenes."""
    import torch

    package = network("cpu").module  # the same weights, loaded once
    boundary, _ = package.predict_frames(torch.from_numpy(frames), quiet=True)
    scenes = package.predictions_to_scenes(boundary.cpu().numpy())
    return [int(start) for start, _ in scenes if start > 0]


def ours(name: str) -> str:
    return f"ours: {name}"


def contenders() -> list[Contender]:
    rivals = ["Content", "Adaptive", "Hash", "Histogram"]
    listed = [Contender(f"{PYSCENEDETECT} {k}", of_pyscenedetect(f"{k}Detector"), 64, 36, "bgr24") for k in rivals]
    listed += [Contender(ours(name), of_ours(find)) for name, find in shots.DETECTORS.items()]
    return [*listed, Contender(TRANSNET_ALONE, transnet_alone)]


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


def report(
    title: str, film: Path, truth: list[Boundary], tools: Tools, transcode_cpu_s: float | None
) -> dict[str, Figures]:
    """Print one row a detector, and give what it says.

    Args:
        transcode_cpu_s: what the detectors' cost is a share of.
    """
    cuts = sum(b.is_cut for b in truth)
    print(f"\n{title}: {cuts} cuts, {len(truth) - cuts} gradual", flush=True)
    if transcode_cpu_s:
        print(f"  transcode into every rung and the proxy: {transcode_cpu_s:.1f} s of processor time")
    head = f"  {'detector':<26}{'precision':>10}{'recall':>8}{'F1':>7}{'cuts':>8}{'gradual':>9}{'frames/s':>10}"
    print(head + f"{'CPU ms/frame':>14}{'share':>8}", flush=True)
    pictures: dict[tuple[int, int, str], tuple[Frames, float]] = {}
    figures: dict[str, Figures] = {}
    for contender in contenders():
        shape = (contender.width, contender.height, contender.pixel_format)
        if shape not in pictures:
            spent = Spent()
            batches = all_frames(film, contender.width, contender.height, tools, pixel_format=contender.pixel_format)
            pictures[shape] = np.concatenate(list(batches)), spent.cpu_s
        frames, decode_cpu_s = pictures[shape]
        # Once in advance on a little: loading a network is no part of looking.
        contender.find(frames[:300])
        spent = Spent()
        found = contender.find(frames)
        cpu_s = spent.cpu_s + decode_cpu_s
        figures[contender.name] = row(contender.name, found, truth, len(frames), spent.wall_s, cpu_s, transcode_cpu_s)
    spent = Spent()
    found = scdet(film, tools)
    row("ffmpeg scdet", found, truth, len(frames), spent.wall_s, spent.cpu_s, transcode_cpu_s)
    return figures


def row(
    name: str, found: list[int], truth: list[Boundary], frames: int, wall_s: float, cpu_s: float, whole: float | None
) -> Figures:
    precision, recall, f1 = judge(found, truth)
    # Recall of each kind; a film may have none of one.
    kinds = [judge(found, [b for b in truth if b.is_cut is is_cut])[1] for is_cut in (True, False)]
    share = f"{cpu_s / whole:.1%}" if whole else "-"
    print(
        f"  {name:<26}{precision:>10.3f}{recall:>8.3f}{f1:>7.3f}{kinds[0]:>8.3f}{kinds[1]:>9.3f}"
        f"{frames / wall_s:>10.0f}{1000 * cpu_s / frames:>14.2f}{share:>8}",
        flush=True,
    )
    return Figures(f1, cpu_s / whole if whole else None)


def shortcomings(figures: dict[str, Figures]) -> list[str]:
    """Say what the default detector must do and did not."""
    default = figures[ours(ShotSettings().detector)]
    rival, best = max(((n, f.f1) for n, f in figures.items() if n.startswith(PYSCENEDETECT)), key=lambda each: each[1])
    alone = figures[TRANSNET_ALONE].f1
    found = []
    if default.f1 <= best:
        found.append(f"F1 {default.f1:.3f} is not above {rival}'s {best:.3f}")
    if default.f1 < alone - MAY_LOSE:
        found.append(f"F1 {default.f1:.3f} is more than {MAY_LOSE} below {TRANSNET_ALONE}'s {alone:.3f}")
    if default.share is not None and default.share > MAY_COST:
        found.append(f"it costs {default.share:.1%} of the transcode, more than {MAY_COST:.0%}")
    print(f"the default {'FAILS: ' + '; '.join(found) if found else 'holds'}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boundaries", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--half", choices=["development", "unseen"], default="unseen")
    wanted = parser.parse_args()
    tools = find_tools(MediaSettings())
    samples = sample_folder()
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bench = next((b for b in benches(samples) if (b / "truth_dev.json").is_file()), None)
        if bench:
            facts = json.loads((bench / "truth_dev.json").read_text())
            truth = [Boundary(t["start"], t["end"]) for t in facts["truth"]]
            spent = Spent()
            proxy = transcoded(bench / "dev.mp4", folder, tools)
            cpu_s = spent.cpu_s
            failed += shortcomings(report("composed real footage (dev)", proxy, truth, tools, cpu_s))
        film = folder / "film.mp4"
        truth = compose(film, wanted.boundaries, wanted.seed, wanted.half, samples, tools)
        title = f"composition of the {wanted.half} half, seed {wanted.seed}"
        failed += shortcomings(report(title, film, truth, tools, None))
    if failed:
        raise SystemExit(1)


def benches(samples: Path | None) -> list[Path]:
    return [samples / "scenebench", samples.resolve().parent / "scenebench"] if samples else []


if __name__ == "__main__":
    main()
