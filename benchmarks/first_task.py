"""How long an upload waits for its first task, and where that time goes: ten uploads, one after another.

    python -m benchmarks.first_task

Starts a stack of its own in a temporary folder, and stops it. Exits with 1 when it takes longer than it may.
"""

import datetime as dt
import statistics
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any, Final

import httpx

from core.settings import MediaSettings
from deployments.embedded import stack
from media.tools import find_tools

UPLOADS: Final = 10
GOAL_S, MUST_S = 2.5, 3.5
PARTS: Final = ("upload -> run created", "-> taken by the worker", "-> flow running", "-> first task running")


def clip(folder: Path, number: int) -> Path:
    """Make one second of video, different for each number."""
    target = folder / f"clip-{number}.mp4"
    source = f"testsrc2=s=320x180:r=25:d=1,hue=h={number * 30.7:.1f}"
    command = [str(find_tools(MediaSettings()).ffmpeg), "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", source]
    subprocess.run([*command, "-pix_fmt", "yuv420p", str(target)], check=True, timeout=60, stdin=subprocess.DEVNULL)
    return target


def instant(text: str) -> dt.datetime:
    """Read a time as the services write it."""
    return dt.datetime.fromisoformat(text)


class Stack:
    """The stack under measurement."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.service = httpx.Client(base_url=environment["DAILIES_SERVICE__URL"], timeout=30)
        self.prefect = httpx.Client(base_url=environment["PREFECT_API_URL"], timeout=30)

    def ingest(self, path: Path) -> tuple[dt.datetime, dict[str, Any]]:
        """Upload through a presigned URL as a client would; give the end of the upload and the indexed video."""
        made = self.service.post("/videos/upload/init", json={"file_name": path.name}).raise_for_status().json()
        httpx.put(made["upload_url"], content=path.read_bytes()).raise_for_status()
        ended, pause = dt.datetime.now(dt.UTC), Event()
        for _ in range(600):
            video = self.service.get(f"/videos/{made['video_id']}").raise_for_status().json()
            if video["status"] in ("indexed", "failed", "rejected"):
                return ended, video
            pause.wait(0.2)
        raise SystemExit(f"{path.name} was not indexed within two minutes")

    def moments(self, ended: dt.datetime, run_id: str) -> list[dt.datetime]:
        """Give the moments between the end of an upload and its first task."""
        run = self.prefect.get(f"/flow_runs/{run_id}").raise_for_status().json()
        states = self.prefect.get("/flow_run_states/", params={"flow_run_id": run_id}).raise_for_status().json()
        at = {state["type"]: instant(state["timestamp"]) for state in reversed(states)}
        body = {"flow_runs": {"id": {"any_": [run_id]}}}
        tasks = self.prefect.post("/task_runs/filter", json=body).raise_for_status().json()
        first = min(instant(task["start_time"]) for task in tasks)
        return [ended, instant(run["created"]), at["PENDING"], at["RUNNING"], first]


def main() -> int:
    """Measure and print; the exit status is 1 when the median is over what it must be."""
    with tempfile.TemporaryDirectory(prefix="dailies-bench-") as temporary:
        folder = Path(temporary)
        stack.start(folder / "data", detach=True)
        try:
            running = Stack(stack.environment(folder / "data"))
            running.ingest(clip(folder, 99))  # the first upload of a stack also loads the service's Prefect client
            rows = []
            for number in range(UPLOADS):
                ended, video = running.ingest(clip(folder, number))
                moments = running.moments(ended, video["flow_run_id"])
                rows.append([(later - earlier).total_seconds() for earlier, later in pairwise(moments)])
        finally:
            stack.stop(folder / "data")
    totals = [sum(row) for row in rows]
    print(f"{'':28}{'min':>7}{'median':>8}{'max':>7}   seconds, {UPLOADS} uploads")
    for name, values in [*zip(PARTS, zip(*rows, strict=True), strict=True), ("upload -> first task", totals)]:
        print(f"{name:28}{min(values):7.2f}{statistics.median(values):8.2f}{max(values):7.2f}")
    median = statistics.median(totals)
    print(f"median {median:.2f} s: goal {GOAL_S} s {'met' if median <= GOAL_S else 'missed'}, "
          f"must {MUST_S} s {'met' if median <= MUST_S else 'MISSED'}")  # fmt: skip
    return int(median > MUST_S)


if __name__ == "__main__":
    sys.exit(main())
