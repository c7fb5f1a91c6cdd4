"""What an ingest's media work costs, held against bare ffmpeg and against a pipeline of separate stages.

`python -m benchmarks.transcode [--lengths 5 60 600] [--rounds N] [--together]`: whole processes, their children
included. CPU seconds tell more than wall on a shared machine; `--together` runs the ways of a source side by side,
so that a load from elsewhere weighs on all of them alike (their walls then say nothing). Beside a source longer than
a minute that of a minute is then done as often as it takes, so that growth with length is judged at one speed, too.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.transcode_sources import BASE_S, compose
from core.settings import LimitSettings, MediaSettings
from core.values import Rung
from media.ladder import rungs_for
from media.tools import Tools, find_tools
from media.validation import inspect

GOAL, BUDGET, STAGES_GOAL, LINEAR, LOSS = 1.10, 1.15, 0.55, 0.10, 0.002
#: A source of a minute is cut this small to become eight chunks.
EIGHTH_S = 8
SAMPLE_S = 0.2


@dataclass(frozen=True)
class Cost:
    """What one process and everything it started used."""

    cpu_s: float
    wall_s: float
    #: Most memory that all of them held at one time.
    peak_bytes: int


@dataclass(frozen=True)
class Way:
    """One column of the comparison: a way to run, and with which media settings."""

    name: str
    way: str
    settings: str = "{}"
    #: On the source of a minute, as often as the other ways need for theirs.
    by_minute: bool = False


BARE, ONE, STAGES = Way("bare line", "bare"), Way("ours, one chunk", "ours"), Way("stages", "stages")
EIGHT = Way("ours, eight chunks", "ours", json.dumps({"chunk_s": EIGHTH_S}))
MANY = Way("ours, chunks of a minute", "ours")
BY_MINUTE = Way("ours, a minute at a time", "ours", by_minute=True)
READS = "reads of the proxy"


def ways_for(length: int, *, together: bool = False) -> list[Way]:
    if length > 2 * BASE_S:
        return [BARE, MANY, BY_MINUTE] if together else [BARE, MANY]
    return [BARE, ONE, EIGHT, STAGES] if length >= BASE_S else [BARE, ONE, STAGES]


def measure(argv: list[str]) -> Cost:
    """Run a process to its end; raises when it fails."""
    began = time.perf_counter()
    process = psutil.Popen(argv)
    peak = 0
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        peak = max(peak, _memory(process))
        time.sleep(SAMPLE_S)
    if status:
        raise SystemExit(f"{' '.join(argv[:5])} … failed")
    # Children that were waited for are counted in.
    return Cost(used.ru_utime + used.ru_stime, time.perf_counter() - began, peak)


def _memory(process: psutil.Process) -> int:
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            try:
                total += one.memory_info().rss
            except psutil.Error:  # it ended just now
                continue
    except psutil.Error:
        pass
    return total


def command(way: str, source: Path, folder: Path, tools: Tools, rungs: tuple[Rung, ...], settings: str) -> list[str]:
    recipes = [f"--recipe={r.width}x{r.height}:{r.crf}:{r.max_bitrate_kbps}" for r in rungs]
    module = [sys.executable, "-m", "benchmarks.transcode_ways", way, str(source), str(folder)]
    return [*module, "--ffmpeg", str(tools.ffmpeg), *recipes, "--settings", settings]


def added(costs: list[Cost]) -> Cost:
    """Give the cost of processes that ran one after another."""
    return Cost(sum(c.cpu_s for c in costs), sum(c.wall_s for c in costs), max(c.peak_bytes for c in costs))


def compare(
    sources: dict[int, Path], length: int, tools: Tools, scratch: Path, *, rounds: int, together: bool
) -> dict[str, Cost]:
    """Measure every way on the source of a length, one after another in turn, or side by side; medians by name."""
    source = sources[length]
    rungs = rungs_for(inspect(source, tools, LimitSettings()), MediaSettings())
    ways = ways_for(length, together=together and BASE_S in sources)
    found: dict[str, list[Cost]] = {name: [] for way in ways for name in (way.name, *([READS] if way is ONE else []))}

    def one(way: Way, turn: int) -> None:
        costs = []
        for again in range(length // BASE_S if way.by_minute else 1):
            folder = scratch / f"{length}-{turn}-{way.name.replace(' ', '-')}{f'-{again}' if again else ''}"
            folder.mkdir()
            read = sources[BASE_S] if way.by_minute else source
            costs.append(measure(command(way.way, read, folder, tools, rungs, way.settings)))
        found[way.name].append(added(costs))
        if way is ONE:
            found[READS].append(measure(command("reads", source, folder, tools, rungs, way.settings)))

    for turn in range(rounds):
        if together:
            with ThreadPoolExecutor(len(ways)) as pool:
                list(pool.map(one, ways, [turn] * len(ways)))
        else:
            for way in ways if turn % 2 == 0 else ways[::-1]:
                one(way, turn)
    return {name: sorted(costs, key=lambda c: c.cpu_s)[len(costs) // 2] for name, costs in found.items()}


def report(length: int, costs: dict[str, Cost], *, judge_wall: bool) -> bool:
    """Print one source's table; whether it keeps the budgets, which begin at a minute."""
    bare, good = costs[BARE.name], True
    print(
        f"\n{length} s of 1080p\n  {'':<26}{'CPU s':>9}{'wall s':>9}{'peak MiB':>10}{'CPU/bare':>10}{'wall/bare':>11}"
    )
    for name, cost in costs.items():
        ratio = cost.cpu_s / bare.cpu_s
        print(
            f"  {name:<26}{cost.cpu_s:>9.1f}{cost.wall_s:>9.1f}{cost.peak_bytes / 2**20:>10.0f}"
            f"{ratio:>10.3f}{cost.wall_s / bare.wall_s:>11.3f}"
        )
        worst = max(ratio, cost.wall_s / bare.wall_s) if judge_wall else ratio
        # A minute at a time is there for growth alone: of an odd length it does less than the bare line.
        good &= length < BASE_S or not name.startswith("ours") or name == BY_MINUTE.name or worst <= BUDGET
    if STAGES.name in costs:
        stages, reads = costs[STAGES.name], costs[READS]
        ours = costs[ONE.name]
        print(
            f"  ours with the reads of the proxy / stages: CPU {(ours.cpu_s + reads.cpu_s) / stages.cpu_s:.3f}, "
            f"wall {(ours.wall_s + reads.wall_s) / stages.wall_s:.3f} (goal {STAGES_GOAL})"
        )
    return good


def ssim(source: Path, folder: Path, names: list[str], rungs: tuple[Rung, ...], tools: Tools) -> list[list[float]]:
    """Give, for each rung, the likeness to the source of the files that several ways made."""
    found = []
    for rung in rungs:
        inputs = [arg for name in names for arg in ("-i", str(folder / name / f"{rung.name}.mp4"))]
        # By number: the times are checked elsewhere, and a muxer's rounding must not shift the pictures.
        even = "settb=1/90000,setpts=N*3000"
        chains = [f"[0:v]scale={rung.width}:{rung.height},format=yuv420p,{even},split={len(names)}"]
        chains[0] += "".join(f"[r{index}]" for index in range(len(names)))
        chains += [f"[{i + 1}:v]{even}[m{i}];[m{i}][r{i}]ssim@{i}[o{i}]" for i in range(len(names))]
        outputs = [arg for index in range(len(names)) for arg in ("-map", f"[o{index}]")]
        argv = [str(tools.ffmpeg), "-nostdin", "-i", str(source), *inputs, "-filter_complex", ";".join(chains)]
        done = subprocess.run(
            [*argv, *outputs, "-fps_mode", "passthrough", "-f", "null", "-"], check=True, capture_output=True, text=True
        )
        scores = dict(re.findall(r"\[ssim@(\d+) @ \w+\] SSIM .*All:([\d.]+)", done.stderr))
        found.append([float(scores[str(index)]) for index in range(len(names))])
    return found


def quality(source: Path, length: int, tools: Tools, scratch: Path) -> bool:
    """Print what the rungs of the first round lost against those of the bare line."""
    rungs = rungs_for(inspect(source, tools, LimitSettings()), MediaSettings())
    ways = [way for way in ways_for(length) if way.way in {"bare", "ours"}]
    names = [f"{length}-0-{way.name.replace(' ', '-')}" for way in ways]
    good = True
    for rung, scores in zip(rungs, ssim(source, scratch, names, rungs, tools), strict=True):
        others = zip(ways[1:], scores[1:], strict=True)
        said = "; ".join(f"{way.name} {score:.5f} (loss {scores[0] - score:+.5f})" for way, score in others)
        print(f"  SSIM {rung.name:<6} bare line {scores[0]:.5f}; {said}")
        good &= all(scores[0] - score <= LOSS for score in scores[1:])
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=[5, 60, 600], help="seconds of the sources")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--together", action="store_true")
    wanted = parser.parse_args()
    tools, good, per_second, by_minute = find_tools(MediaSettings()), True, {}, {}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        sources = compose(scratch, wanted.lengths, tools)
        for length, source in sources.items():
            costs = compare(sources, length, tools, scratch, rounds=wanted.rounds, together=wanted.together)
            good &= report(length, costs, judge_wall=not wanted.together)
            if length <= BASE_S:
                good &= quality(source, length, tools, scratch)
            per_second[length] = next(c.cpu_s for n, c in costs.items() if n.startswith("ours")) / length
            if BY_MINUTE.name in costs:
                by_minute[length] = costs[BY_MINUTE.name].cpu_s / (length // BASE_S * BASE_S)
            sys.stdout.flush()
    longest = max(per_second)
    if BASE_S in per_second and longest > BASE_S:
        growth = per_second[longest] / by_minute.get(longest, per_second[BASE_S])
        print(f"\nCPU per second of video, {longest} s / {BASE_S} s: {growth:.3f} (1 within {LINEAR})")
        good &= abs(growth - 1) <= LINEAR
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
