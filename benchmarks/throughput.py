"""What a video costs beside its media work, part by part; and how many short videos one worker and two get done.

    python -m benchmarks.throughput [--videos N]

Starts a stack of its own in a temporary folder with the defaults of `dailies up`, and stops it. Two workers share the
uploads at once that the work queue allows, so they are measured with twice as many, too. Exits with 1 when a video
costs more than it may.
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
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any, Final, NamedTuple

import httpx
import psutil
import psycopg

from benchmarks.first_task import PARTS, Stack, clip, instant
from benchmarks.records import print_growth, table_sizes
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
#: From this share of the processors' time on, they are what limits the rate.
ALL_IN_USE: Final = 0.9
#: Workers, and how many times the uploads at once of the settings, of each round.
ROUNDS: Final = ((1, 1), (2, 1), (2, 2))


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


def alone(running: Stack, database: str, folder: Path) -> bool:
    """Ingest videos one after another and print where their time went; say whether it is little enough."""
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
    is_met = median <= MUST_S
    print(f"median {median:.2f} s: must be {MUST_S} s or less: {'met' if is_met else 'MISSED'}", flush=True)
    return is_met


def _line(name: str, values: Sequence[float]) -> None:
    print(f"  {name:32}{min(values):7.2f}{statistics.median(values):8.2f}{max(values):7.2f}")


def together(running: Stack, paths: Sequence[Path]) -> float:
    """Upload all at once; give the seconds until the last is indexed."""
    began = time.monotonic()
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
    return time.monotonic() - began


def _upload(running: Stack, path: Path) -> str:
    made = running.service.post("/videos/upload/init", json={"file_name": path.name}).raise_for_status().json()
    httpx.put(made["upload_url"], content=path.read_bytes()).raise_for_status()
    return str(made["video_id"])


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def spent_s(pid: int) -> float:
    """Give the processor seconds of a process, of those it has started, and of those that have ended since."""
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return float(sum(times[:4])) + sum(spent_s(child.pid) for child in process.children())
    except psutil.NoSuchProcess:
        return 0.0


def limits(queue: str, running: Stack, at_once: int) -> None:
    """Let a work queue have so many runs at once, over all workers."""
    pool = WorkflowSettings().work_pool
    body = {"concurrency_limit": at_once}
    running.prefect.patch(f"/work_pools/{pool}/queues/{queue}", json=body).raise_for_status()


@contextmanager
def one_more_worker(environment: dict[str, str], log: Path) -> Iterator[int]:
    """Start a second worker on the same pool, as another machine would, and give its process; end it."""
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
        yield worker.pid
    finally:
        worker.terminate()
        worker.wait(60)


def wait_for_workers(running: Stack, workers: int) -> None:
    """Wait until so many are at work."""
    pool, pause = WorkflowSettings().work_pool, Event()
    for _ in range(600):
        found = running.prefect.post(f"/work_pools/{pool}/workers/filter", json={}).raise_for_status().json()
        if sum(worker["status"] == "ONLINE" for worker in found) == workers:
            return
        pause.wait(0.1)
    raise SystemExit(f"there were not {workers} workers within a minute")


def a_round(running: Stack, data: Path, folder: Path, videos: int, workers: int, times: int) -> float:
    """Get many videos done by so many workers; print what it took and who used the processors; give the seconds."""
    at_once = times * WorkflowSettings().uploads_at_once
    limits("uploads", running, at_once)
    first = 10_000 * workers + 1_000 * times
    paths = [clip(folder, first + number) for number in range(videos)]
    with ExitStack() as more:
        parts = {part.name: part.pid for part in stack.status(data).parts if part.pid}
        if workers > 1:
            parts["worker 2"] = more.enter_context(one_more_worker(stack.environment(data), folder / "worker.log"))
            wait_for_workers(running, workers)
        before, busy = {name: spent_s(pid) for name, pid in parts.items()}, _busy_s()
        took = together(running, paths)
        cores = os.cpu_count() or 1
        share = (_busy_s() - busy) / took / cores
        used = {name: (spent_s(pid) - before[name]) / videos for name, pid in parts.items()}
    limit = "the processors" if share >= ALL_IN_USE else f"the {at_once} uploads at once, or what they wait for"
    print(
        f"{videos} videos, workers: {workers}, {at_once} at a time: {took:.0f} s, {60 * videos / took:.1f} a minute, "
        f"{share:.0%} of {cores} cores in use: limited by {limit}"
    )
    shown = ", ".join(f"{name} {each:.2f}" for name, each in sorted(used.items(), key=lambda one: -one[1]))
    print(f"  processor seconds a video: {share * took * cores / videos:.2f}, of which {shown}", flush=True)
    return took


def main() -> int:
    """Measure and print; the exit status is 1 when a video alone costs too much."""
    parser = argparse.ArgumentParser(description="Cost of a video beside its media work; videos a minute.")
    parser.add_argument("--videos", type=int, default=40, help="short videos uploaded at once (default: 40)")
    asked: Any = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dailies-bench-") as temporary:
        folder, data = Path(temporary), Path(temporary, "data")
        stack.start(data, detach=True)
        try:
            running = Stack(stack.environment(data))
            is_met = alone(running, postgres_url(Layout.of(data).postgres, "dailies", "postgresql"), folder)
            databases = {
                name: postgres_url(Layout.of(data).postgres, name, "postgresql") for name in ("dailies", "prefect")
            }
            before = {name: table_sizes(url) for name, url in databases.items()}
            took = [a_round(running, data, folder, asked.videos, workers, times) for workers, times in ROUNDS]
            ratios = ", ".join(f"{each / took[0]:.2f}" for each in took[1:])
            print(f"two workers / one worker: {ratios} of the time")
            for name, url in databases.items():
                print_growth(f"database {name}", before[name], table_sizes(url), len(ROUNDS) * asked.videos)
        finally:
            stack.stop(data)
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
