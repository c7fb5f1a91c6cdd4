"""What a video costs beside its media work, part by part; and how many short videos one worker and two get done.

    python -m benchmarks.throughput [--videos N]

Starts a stack of its own in a temporary folder with the defaults of `dailies up`, and stops it.
"""

import argparse
import datetime as dt
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any, Final, NamedTuple

import httpx
import psutil
import psycopg

from benchmarks.first_task import PARTS, Stack, clip, instant
from core.settings import WorkflowSettings
from core.stages import Stage
from deployments.embedded import stack
from deployments.embedded.layout import Layout, postgres_url

#: Videos whose cost is taken apart, one after another.
ALONE: Final = 8
MUST_S: Final = 6.0
#: Longest wait for one video of many, seconds.
EACH_S: Final = 60.0
ENDED: Final = ("indexed", "failed", "rejected")


class Entry(NamedTuple):
    """One execution in the ledger, half-open."""

    stage: str
    started_at: dt.datetime
    ended_at: dt.datetime


def entries(database: str, video_id: str) -> list[Entry]:
    """Read a video's ledger, in the order of time."""
    query = "SELECT stage, started_at, ended_at FROM stage_run WHERE video_id = %s ORDER BY started_at"
    with psycopg.connect(database) as session:
        return [Entry(*row) for row in session.execute(query, (video_id,))]


def beside(found: Sequence[Entry], begin: dt.datetime, end: dt.datetime) -> dict[str, float]:
    """Give the seconds in which no stage but publish was at work, by the stage that they led to."""
    gaps: dict[str, float] = defaultdict(float)
    at = begin
    for entry in found:
        gaps[f"-> {entry.stage}"] += max(0.0, (entry.started_at - at).total_seconds())
        at = max(at, entry.started_at if entry.stage == Stage.PUBLISH else entry.ended_at)
    gaps["publish -> searchable"] = (end - at).total_seconds()
    return dict(gaps)


def working(found: Sequence[Entry]) -> dict[str, float]:
    """Give the wall seconds from each stage's first begin to its last end; publish is no media work."""
    stages = dict.fromkeys(entry.stage for entry in found if entry.stage != Stage.PUBLISH)
    return {
        stage: (
            max(entry.ended_at for entry in found if entry.stage == stage)
            - min(entry.started_at for entry in found if entry.stage == stage)
        ).total_seconds()
        for stage in stages
    }


def alone(running: Stack, database: str, folder: Path) -> None:
    """Ingest videos one after another and print where their time went."""
    running.ingest(clip(folder, 999))  # the first upload of a stack also loads the service's Prefect client
    costs: list[dict[str, float]] = []
    media: list[dict[str, float]] = []
    for number in range(ALONE):
        ended, video = running.ingest(clip(folder, number))
        moments = running.moments(ended, video["flow_run_id"])
        waits = {name: (later - at).total_seconds() for name, (at, later) in zip(PARTS, pairwise(moments), strict=True)}
        found = entries(database, video["video_id"])
        costs.append(waits | beside(found, moments[-1], instant(video["indexed_at"])))
        media.append(working(found))
    totals = [sum(cost.values()) for cost in costs]
    print(f"one video at a time, {ALONE} of 1 s{'':3}{'min':>7}{'median':>8}{'max':>7}   seconds")
    for title, rows in (("beside media work", costs), ("stages", media)):
        print(title)
        for name in rows[0]:
            _line(name, [row[name] for row in rows])
    _line("all beside media work", totals)
    median = statistics.median(totals)
    print(f"median {median:.2f} s: must be {MUST_S} s or less: {'met' if median <= MUST_S else 'MISSED'}", flush=True)


def _line(name: str, values: Sequence[float]) -> None:
    print(f"  {name:32}{min(values):7.2f}{statistics.median(values):8.2f}{max(values):7.2f}")


def together(running: Stack, paths: Sequence[Path]) -> tuple[float, float]:
    """Upload all at once; give the seconds until the last is indexed, and the share of the processors' time in use."""
    busy, began = _busy_s(), time.monotonic()
    waiting = [_upload(running, path) for path in paths]
    deadline, pause = began + EACH_S * len(paths), Event()
    while waiting:
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(waiting)} videos did not come through within {EACH_S * len(paths):.0f} s")
        pause.wait(0.5)
        videos = [running.service.get(f"/videos/{each}").raise_for_status().json() for each in waiting[:4]]
        gone = {video["video_id"]: video["status"] for video in videos if video["status"] in ENDED}
        if wrong := [each for each, status in gone.items() if status != "indexed"]:
            raise SystemExit(f"video {wrong[0]} is {gone[wrong[0]]}")
        waiting = [each for each in waiting if each not in gone]
    took = time.monotonic() - began
    return took, (_busy_s() - busy) / took / (os.cpu_count() or 1)


def _upload(running: Stack, path: Path) -> str:
    made = running.service.post("/videos/upload/init", json={"file_name": path.name}).raise_for_status().json()
    httpx.put(made["upload_url"], content=path.read_bytes()).raise_for_status()
    return str(made["video_id"])


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


@contextmanager
def one_more_worker(environment: dict[str, str], log: Path) -> Iterator[None]:
    """Start a second worker on the same pool, as another machine would; end it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    pool = WorkflowSettings().work_pool
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process", "--name", "b"]
    with log.open("wb") as output:
        worker = subprocess.Popen(
            command,
            env={**os.environ, **environment, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        worker.terminate()
        worker.wait(60)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Cost of a video beside its media work; videos a minute.")
    parser.add_argument("--videos", type=int, default=40, help="short videos uploaded at once (default: 40)")
    asked: Any = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dailies-bench-") as temporary:
        folder, data = Path(temporary), Path(temporary, "data")
        stack.start(data, detach=True)
        try:
            environment = stack.environment(data)
            running = Stack(environment)
            alone(running, postgres_url(Layout.of(data).postgres, "dailies", "postgresql"), folder)
            took = {}
            for workers in (1, 2):
                paths = [clip(folder, 1000 * workers + number) for number in range(asked.videos)]
                if workers == 1:
                    took[workers], busy = together(running, paths)
                else:
                    with one_more_worker(environment, folder / "worker.log"):
                        took[workers], busy = together(running, paths)
                rate = 60 * asked.videos / took[workers]
                print(
                    f"{asked.videos} videos, workers: {workers}, {WorkflowSettings().uploads_at_once} at a time: "
                    f"{took[workers]:.0f} s, {rate:.1f} a minute, {busy:.0%} of {os.cpu_count()} cores in use",
                    flush=True,
                )
            print(f"two workers / one worker: {took[2] / took[1]:.2f} of the time")
        finally:
            stack.stop(data)


if __name__ == "__main__":
    main()
