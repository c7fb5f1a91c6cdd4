"""How long recovery takes, each part of the delay apart, on a stack that is otherwise quiet."""

import datetime as dt
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos.faults import send
from tests.chaos.rig import Rig, make_clip, rig, soon
from tests.chaos.webhook import Mode

#: Longest time allowed, seconds.
FLOW_KILLED_S, WORKER_LOST_S, WEBHOOKS_LOST_S = 30.0, 180.0, 150.0


def video(running: Rig, key: str) -> dict[str, Any] | None:
    found = running.rows("SELECT id::text, attempt, flow_run_id::text FROM video WHERE file_name = %s", key)
    return dict(zip(("id", "attempt", "run"), found[0], strict=True)) if found else None


def at_work(running: Rig, folder: Path, number: int) -> tuple[str, dict[str, Any]]:
    """Upload a film and wait until its process has begun."""
    key = running.live.put(make_clip(folder, number, 8.0))
    begun = soon(lambda: (now := video(running, key)) and now["attempt"] and now, 180, every_s=0.05)
    assert begun, "the run did not begin"
    return key, begun


def is_done(running: Rig, key: str) -> bool:
    return bool(running.rows("SELECT 1 FROM video WHERE file_name = %s AND status = 'indexed'", key))


def timings(running: Rig, run_id: str, killed: dt.datetime) -> str:
    """Say when the run entered each state, in seconds since the kill."""
    states = running.live.prefect.get("/flow_run_states/", params={"flow_run_id": run_id}).raise_for_status().json()
    after = [(dt.datetime.fromisoformat(state["timestamp"]), state["name"]) for state in states]
    return ", ".join(f"{name} {(at - killed).total_seconds():.1f}" for at, name in sorted(after) if at >= killed)


def kill(running: Rig, folder: Path, numbers: range, *, with_worker: bool) -> list[float]:
    """Kill the processes at work; give the seconds until each video's next attempt has begun."""
    soon(lambda: not running.flows(), 180)
    keys = [at_work(running, folder, number) for number in numbers]
    # One that is done already has nothing to recover.
    keys = [(key, before) for key, before in keys if not is_done(running, key)]
    killed = dt.datetime.now(dt.UTC)
    if with_worker:
        send(running.part("worker"), signal.SIGKILL)
    for process in running.flows():
        send(process, signal.SIGKILL)
    waits: dict[str, float] = {}

    def again() -> bool:
        for key, before in keys:
            now = video(running, key)
            if now and now["attempt"] > before["attempt"]:
                waits.setdefault(key, (dt.datetime.now(dt.UTC) - killed).total_seconds())
        return len(waits) == len(keys)

    soon(again, 300)
    for key, before in keys:
        print(
            f"  {key}: running again after {waits.get(key, float('nan')):.1f} s ({timings(running, before['run'], killed)})"
        )
    return [waits.get(key, float("inf")) for key, _ in keys]


def lost_webhooks(running: Rig, folder: Path, numbers: range) -> float:
    """Lose every webhook; give the seconds from the last upload until every object is in the inbox."""
    running.line.mode = Mode.DROP
    names = [running.live.put(make_clip(folder, number, 1.0)) for number in numbers]
    began = time.monotonic()
    found = soon(lambda: all(video(running, name) for name in names), 300)
    running.line.mode = Mode.PASS
    waited = time.monotonic() - began if found else float("inf")
    print(f"  {len(names)} objects nobody announced: all found after {waited:.1f} s", flush=True)
    return waited


def measure() -> bool:
    """Print every recovery time; say whether all are within their limits."""
    with rig() as running, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flow = [kill(running, folder, range(n, n + 1), with_worker=False)[0] for n in range(3)]
        webhooks = lost_webhooks(running, folder, range(10, 15))
        worker = kill(running, folder, range(20, 23), with_worker=True)
    rows = [
        ("flow process killed, running again", max(flow), FLOW_KILLED_S),
        ("worker and process lost, running again", max(worker), WORKER_LOST_S),
        ("all webhooks lost, every object found", webhooks, WEBHOOKS_LOST_S),
    ]
    for what, seconds, limit in rows:
        print(f"{what:<42} {seconds:6.1f} s  (limit {limit:.0f} s)")
    return all(seconds <= limit for _, seconds, limit in rows)
