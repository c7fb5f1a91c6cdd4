"""How many runs of an ingest's size one Prefect server takes a minute, until those who ask it have to wait.

    python -m benchmarks.prefect_server [--seconds 30]

Starts a stack of its own in a temporary folder, ingests one video, and then runs flows that have as many tasks and log
lines as its run, and nothing to do, at growing rates beside it. Everything shares this machine's processors: the
seconds that the server and its database spend on a run say what a machine of their own would take.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any, Final, NamedTuple

from benchmarks.first_task import Stack, clip
from benchmarks.throughput import spent_s
from core.settings import WorkflowSettings
from deployments.embedded import stack

#: Runs a minute that are tried, one after the other.
RATES: Final = (15, 30, 60, 90, 120, 180, 240, 360)
#: It is too much when a worker's question takes so many times as long as when nobody else asks, and this long, in s;
MOST_TIMES, MOST_S = 3.0, 0.5
#: or when the last run ends, or its tasks are recorded, so many seconds after they should have.
MOST_LATE_S: Final = 5.0
FLOW: Final = "measured"
#: Who answers.
PARTS: Final = ("prefect", "postgres")
#: Seconds without runs, to compare with.
IDLE_S: Final = 20.0
AT_ONCE: Final = 32


class Load(NamedTuple):
    """How large a run is."""

    tasks: int
    #: Lines that it logs beside those of Prefect itself.
    lines: int


class Kept(NamedTuple):
    """What one rate came to."""

    rate: int
    done: float
    asked_p50_s: float
    asked_p95_s: float
    late_s: float
    server_s: float
    database_s: float


def generate(load: Load, rate: int, runs: int) -> None:
    """Run flows of a size at a rate, each begun when it is due; in a process of its own."""
    from prefect import flow, get_run_logger, task

    # Every run looks for the block of results that the environment names, and ends at once where its class is unknown.
    import tasks.result_store  # noqa: F401

    @task
    def step(number: int) -> int:
        for line in range(load.lines // load.tasks):
            get_run_logger().info("line %d of step %d, about as long as what the steps of an ingest say", line, number)
        return number

    @flow(name=FLOW, retries=0)
    def measured() -> None:
        for number in range(load.tasks):
            step(number)

    began, pause = time.monotonic(), Event()
    begun: list[Future[None]] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(runs):
            pause.wait(max(0.0, began + number * 60 / rate - time.monotonic()))
            begun.append(pool.submit(measured))
    for run in begun:
        run.result()


def size_of(running: Stack, run_id: str) -> Load:
    """Count a run's tasks and lines."""
    of_run = {"flow_runs": {"id": {"any_": [run_id]}}}
    tasks = running.prefect.post("/task_runs/count", json=of_run).raise_for_status().json()
    wanted = {"logs": {"flow_run_id": {"any_": [run_id]}}, "limit": 200}
    lines = running.prefect.post("/logs/filter", json=wanted).raise_for_status().json()
    # The engine itself says one of each task.
    return Load(tasks, max(0, len(lines) - tasks))


def asking(running: Stack, until: Event, seconds: float) -> list[float]:
    """Ask what a worker asks, again and again; give the seconds that each answer took."""
    path, took = f"/work_pools/{WorkflowSettings().work_pool}/get_scheduled_flow_runs", []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not until.wait(0.2):
        began = time.monotonic()
        running.prefect.post(path, json={}).raise_for_status()
        took.append(time.monotonic() - began)
    return took


def recorded(running: Stack) -> int:
    """Count the tasks that the server has recorded as done."""
    wanted = {"flows": {"name": {"any_": [FLOW]}}, "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    return int(running.prefect.post("/task_runs/count", json=wanted).raise_for_status().json())


def spent_by(data: Path) -> dict[str, float]:
    """Give the processor seconds that the server and its database have spent so far."""
    return {part.name: spent_s(part.pid) for part in stack.status(data).parts if part.pid and part.name in PARTS}


def at_rate(running: Stack, data: Path, load: Load, rate: int, seconds: int, idle: dict[str, float]) -> Kept:
    """Let runs come at one rate for a while, and see them recorded.

    Args:
        idle: processor seconds that each part spends in a second when there are no runs.
    """
    runs, spent = max(1, rate * seconds // 60), spent_by(data)
    goal, over, began = recorded(running) + runs * load.tasks, Event(), time.monotonic()
    command = [sys.executable, "-m", "benchmarks.prefect_server", "--generate", json.dumps([*load, rate, runs])]
    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(asking, running, over, 10.0 * seconds)
        subprocess.run(
            command, env={**os.environ, **stack.environment(data), "PREFECT_LOGGING_TO_CONSOLE": "0"}, check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        while recorded(running) < goal and time.monotonic() < began + 10 * seconds:
            over.wait(0.2)
        over.set()
        took = answers.result()
    lasted = time.monotonic() - began
    used = {name: (now - spent[name] - lasted * idle[name]) / runs for name, now in spent_by(data).items()}
    cuts = statistics.quantiles(took, n=20, method="inclusive")
    return Kept(rate, 60 * runs / lasted, cuts[9], cuts[18], lasted - seconds, used["prefect"], used["postgres"])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30, help="at each rate")
    parser.add_argument("--generate", help=argparse.SUPPRESS)
    asked: Any = parser.parse_args()
    if asked.generate:
        tasks, lines, rate, runs = json.loads(asked.generate)
        generate(Load(tasks, lines), rate, runs)
        return 0
    with tempfile.TemporaryDirectory(prefix="dailies-bench-") as name:
        folder, data = Path(name), Path(name, "data")
        stack.start(data, detach=True)
        try:
            report(Stack(stack.environment(data)), data, folder, asked.seconds)
        finally:
            stack.stop(data)
    return 0


def report(running: Stack, data: Path, folder: Path, seconds: int) -> None:
    """Print a line for each rate until one is too much."""
    _, video = running.ingest(clip(folder, 1))
    load = size_of(running, video["flow_run_id"])
    before = spent_by(data)
    idle = statistics.quantiles(asking(running, Event(), IDLE_S), n=20, method="inclusive")[18]
    spends = {name: (now - before[name]) / IDLE_S for name, now in spent_by(data).items()}
    start = at_rate(running, data, load, 60, 5, spends).late_s  # what it takes to start the process that makes the runs
    most_s = max(MOST_S, MOST_TIMES * idle)
    print(f"runs of {load.tasks} tasks and {load.lines} lines; a worker's question: p95 {1000 * idle:.0f} ms when idle")
    print(
        f"seconds of one core that they use when idle: {', '.join(f'{name} {each:.2f}' for name, each in spends.items())}"
    )
    print(f"{'a minute':>9}{'done':>8}{'question p50':>14}{'p95 ms':>8}{'late s':>8}{'server s':>10}{'database s':>12}")
    held = 0
    for rate in RATES:
        kept = at_rate(running, data, load, rate, seconds, spends)
        late_s = kept.late_s - start
        print(f"{rate:>9}{kept.done:>8.0f}{1000 * kept.asked_p50_s:>14.0f}{1000 * kept.asked_p95_s:>8.0f}{late_s:>8.1f}"
              f"{kept.server_s:>10.2f}{kept.database_s:>12.2f}", flush=True)  # fmt: skip
        if kept.asked_p95_s > most_s or late_s > MOST_LATE_S:
            break
        held = rate
    each = kept.server_s + kept.database_s
    print(f"held: {held} runs a minute, its load beside it; one core for server and database alone: {60 / each:.0f}")


if __name__ == "__main__":
    sys.exit(main())
