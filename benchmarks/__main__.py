"""Run every benchmark, one after another; each also runs alone as `python -m benchmarks.NAME`."""

import subprocess
import sys

BENCHMARKS = (
    "first_task",
    "throughput",
    "bundled_encoder",
    "confidence",
    "embedding",
    "waiting",
    "shots",
    "search",
    "transcode",
)

worst = 0
for name in BENCHMARKS:
    print(f"\n== {name}", flush=True)
    worst = max(worst, abs(subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode))
sys.exit(worst)
