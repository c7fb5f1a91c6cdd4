"""Threads of a network that spin or sleep while they wait for one another: alone, and beside ffmpeg.

`python -m benchmarks.waiting [--rounds N]`: fresh processes, one for each policy by turns, each of which runs the
bundled encoder and the shot detector's network once; wall and CPU seconds of that, without imports, as medians. The
ratios, medians of pairs that ran one after the other, say what core/threads.py saves.
"""

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from core.cores import usable_cores
from core.settings import EncoderSettings, MediaSettings
from core.threads import POLICY
from media.tools import find_tools

POLICIES = ("spin", "sleep")
SPINS = "GOMP_SPINCOUNT"
#: Pictures that a video of a few scenes has embedded, and one window of the shot detector.
PICTURES, WINDOW = 16, 200
#: Ratios: what sleeping may cost in time with nothing else to do, and what it must be at most beside ffmpeg.
MAY_COST, MUST_SAVE = 1.10, 0.90


def child() -> None:
    """Load both networks, then run them; prints what running them took."""
    import numpy as np

    from encoders import load
    from media.transnet import look

    encoder = load.load(EncoderSettings(device="cpu"))
    chance = np.random.default_rng(0)
    pictures = chance.integers(0, 255, (PICTURES, 224, 398, 3), np.uint8)
    window = chance.integers(0, 255, (WINDOW, 27, 48, 3), np.uint8)
    look(window[:1], "cpu")
    began, used = time.perf_counter(), cpu_s()
    encoder.encode_frames(pictures)
    look(window, "cpu")
    print(json.dumps({"wall": time.perf_counter() - began, "cpu": cpu_s() - used}))


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(policy: str) -> dict[str, float]:
    # Spinning is what the library does when nobody says anything; ours is to sleep.
    environment = {name: value for name, value in os.environ.items() if name not in (POLICY, SPINS)}
    environment |= {SPINS: "300000"} if policy == "spin" else {}
    argv = [sys.executable, "-m", "benchmarks.waiting", "--child"]
    done = subprocess.run(argv, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def busy() -> Iterator[None]:
    """Keep every processor busy with encodes, as an ingest's chunks do."""
    argv = [str(find_tools(MediaSettings()).ffmpeg), "-nostdin", "-v", "error", "-f", "lavfi"]
    argv += ["-i", "testsrc2=s=1920x1080:r=30:d=36000", "-c:v", "libx264", "-preset", "veryfast", "-f", "null", "-"]
    with ExitStack() as stack:
        encodes = [stack.enter_context(subprocess.Popen(argv)) for _ in range(math.ceil(usable_cores() / 2))]
        try:
            yield
            if any(encode.poll() is not None for encode in encodes):
                raise SystemExit("an encode ended: nothing was measured beside it")
        finally:
            for encode in encodes:
                encode.kill()


def compare(name: str, rounds: int) -> tuple[float, float]:
    """Print both policies; give the ratios sleeping / spinning of wall and of CPU seconds."""
    found: dict[str, list[dict[str, float]]] = {policy: [] for policy in POLICIES}
    for turn in range(rounds):
        for policy in POLICIES if turn % 2 == 0 else POLICIES[::-1]:
            found[policy].append(measure(policy))
    for policy in POLICIES:
        wall, cpu = (statistics.median(each[what] for each in found[policy]) for what in ("wall", "cpu"))
        print(f"  {name:<14}{policy:<8}{wall:>8.2f} s wall{cpu:>8.2f} s CPU")
    pairs = list(zip(found["sleep"], found["spin"], strict=True))
    wall, cpu = (statistics.median(slept[what] / spun[what] for slept, spun in pairs) for what in ("wall", "cpu"))
    print(f"  {name:<14}sleep / spin: wall {wall:.2f}, CPU {cpu:.2f}", flush=True)
    return wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.child:
        child()
        return
    print(f"{PICTURES} pictures through the bundled encoder, {WINDOW} through the shot detector")
    alone = compare("alone", wanted.rounds)
    with busy():
        beside = compare("beside ffmpeg", wanted.rounds)
    sys.exit(0 if alone[0] <= MAY_COST and max(beside) <= MUST_SAVE else 1)


if __name__ == "__main__":
    main()
