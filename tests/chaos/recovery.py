"""How long recovery takes, each part of the delay apart, on a stack that is otherwise quiet."""

import datetime as dt
import itertools
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.chaos.faults import send
from tests.chaos.rig import Rig, make_clip, rig, soon
from tests.chaos.webhook import Mode

#: What is lost; each can be measured alone, the worker in a quarter of an hour.
ALL = "all"
LOSSES = ("flow", "webhooks", "worker")
#: Longest time allowed, seconds.
FLOW_KILLED_S, WORKER_LOST_S, WEBHOOKS_LOST_S = 30.0, 180.0, 150.0
#: Samples of each; with so few the largest one stands for the 99th percentile.
SAMPLES = 20
#: Videos that are killed side by side: as many as are worked on at a time.
AT_ONCE = 4
#: Length of a film that is killed: the first of them must still be at work when the last one begins.
KILLED_S = 60.0
#: Uploads nobody hears of come one by one, so that they meet the sweep's period at every point.
LOST_EVERY_S = 6.0
#: States of a run that resumes, in order; each ends one part of the delay.
STEPS = {
    "Crashed": "noticed",
    "AwaitingRetry": "left to settle",
    "Pending": "taken by the worker",
    "Running": "process started",
}
#: Seconds of each part of one recovery.
Sample = dict[str, float]
NEVER: Sample = {"never": float("inf")}


def run_at_work(running: Rig, file_name: str) -> str | None:
    """Give the run of a video once its process has taken the video over."""
    found = running.rows(
        "SELECT flow_run_id::text FROM video WHERE file_name = %s AND attempt > 0 "
        "AND status IN ('validating', 'processing')",
        file_name,
    )
    return found[0][0] if found else None


def parts(running: Rig, run_id: str, killed: dt.datetime) -> Sample | None:
    """Give the parts of a recovery, once the run is running again."""
    states = running.live.prefect.get("/flow_run_states/", params={"flow_run_id": run_id}).raise_for_status().json()
    after = sorted((dt.datetime.fromisoformat(state["timestamp"]), state["name"]) for state in states)
    first: dict[str, dt.datetime] = {}
    for at, name in after:
        if at >= killed and name in STEPS and list(first) == list(itertools.islice(STEPS, len(first))):
            first.setdefault(name, at)
    if list(first) != list(STEPS):
        return None
    times = [killed, *first.values()]
    return {
        STEPS[name]: (at - before).total_seconds() for name, before, at in zip(first, times, times[1:], strict=False)
    }


def kill(running: Rig, folder: Path, numbers: range, *, with_worker: bool) -> Iterator[Sample]:
    """Kill the processes at work on some videos; give what passed until each ran again."""
    soon(lambda: not running.flows(), 180)
    names = [running.live.put(make_clip(folder, number, KILLED_S)) for number in numbers]
    killed: dict[str, dt.datetime] = {}

    def strike() -> bool:
        runs = [run for name in names if (run := run_at_work(running, name))]
        at_work = {run: process for run in runs if (process := running.live.flow_process(run))}
        if with_worker:
            if len(at_work) < len(names):
                return False
            send(running.part("worker"), signal.SIGKILL)
        for run, process in at_work.items():
            if run not in killed and send(process, signal.SIGKILL):
                killed[run] = dt.datetime.now(dt.UTC)
        return len(killed) == len(names)

    assert soon(strike, 240, every_s=0.05), (
        f"not every run was at work at a time: {[running.live.videos(n) for n in names]}"
    )
    for run, at in killed.items():
        yield soon(lambda run=run, at=at: parts(running, run, at), 300, every_s=0.5) or NEVER  # type: ignore[misc]


SEEN = "SELECT seen_at FROM source_object WHERE key = %s"


def lost_webhooks(running: Rig, folder: Path, numbers: range) -> Iterator[Sample]:
    """Lose every webhook; give the seconds from each upload until its object is in the inbox."""
    running.line.mode = Mode.DROP
    put: dict[str, dt.datetime] = {}
    for number in numbers:
        clip = make_clip(folder, number, 1.0)
        put[running.live.put(clip)] = dt.datetime.now(dt.UTC)
        time.sleep(LOST_EVERY_S * random.uniform(0.5, 1.5))
    for name, at in put.items():
        seen = soon(lambda name=name: running.rows(SEEN, name), 300, every_s=0.5)  # type: ignore[misc]
        yield {"found by the sweep": (seen[0][0] - at).total_seconds() if seen else float("inf")}
    running.line.mode = Mode.PASS


def report(what: str, samples: list[Sample], limit_s: float) -> bool:
    """Print one row for the whole and one for each part; say whether the longest is within the limit."""
    totals = [sum(sample.values()) for sample in samples]
    print(f"{what:<40} {len(samples):>3} samples  {'median':>7} {'longest':>8}  limit {limit_s:.0f} s")
    rows = [("in all", totals)]
    rows += [(name, [sample.get(name, float("nan")) for sample in samples]) for name in samples[0]]
    for name, seconds in rows:
        print(f"  {name:<50} {statistics.median(seconds):>7.1f} {max(seconds):>8.1f}", flush=True)
    return max(totals) <= limit_s


def measure(what: str = ALL) -> bool:
    """Print every recovery time, or that of one of `LOSSES`; say whether all are within their limits."""
    passed = True
    with rig() as running, tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def rounds(first: int, strike: Callable[[range], Iterator[Sample]]) -> list[Sample]:
            starts = range(first, first + SAMPLES, AT_ONCE)
            return [sample for start in starts for sample in strike(range(start, start + AT_ONCE))]

        if what in {ALL, "flow"}:
            flow = rounds(0, lambda numbers: kill(running, folder, numbers, with_worker=False))
            passed &= report("flow process killed, running again", flow, FLOW_KILLED_S)
        if what in {ALL, "webhooks"}:
            lost = list(lost_webhooks(running, folder, range(100, 100 + SAMPLES)))
            passed &= report("all webhooks lost, every object found", lost, WEBHOOKS_LOST_S)
        if what in {ALL, "worker"}:
            worker = rounds(200, lambda numbers: kill(running, folder, numbers, with_worker=True))
            passed &= report("worker and process lost, running again", worker, WORKER_LOST_S)
    return passed
