"""Work that can wait does not delay an upload, however much of it there is."""

import statistics
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from tests.conftest import Live

WAITING = 300
SAMPLES = 5


def seconds_to_first_task(live: "Live", path: Path) -> float:
    """Give the seconds from the object's arrival to the begin of its first task."""
    video = live.ingest(path)
    assert video["status"] == "indexed"
    live.ended_run(video["flow_run_id"])
    seen, began = (datetime.fromisoformat(video[name]) for name in ("created_at", "first_task_at"))
    return (began - seen).total_seconds()


@pytest.fixture
def backlog(live: "Live") -> Iterator[Callable[[], int]]:
    """Fill the backfill queue; what still waits at the end is taken out again."""
    deployment = live.prefect.get("/deployments/name/ingest-video/backfill").raise_for_status().json()["id"]
    runs: list[str] = []

    def waiting() -> int:
        body = {"flow_runs": {"id": {"any_": runs}, "state": {"type": {"any_": ["SCHEDULED"]}}}}
        return int(live.prefect.post("/flow_runs/count", json=body).raise_for_status().json())

    def fill() -> int:
        for _ in range(WAITING):
            # Of videos that were deleted: each takes its slot, an interpreter and a query, and ends.
            body = {"parameters": {"video_id": str(uuid4())}, "state": {"type": "SCHEDULED"}}
            made = live.prefect.post(f"/deployments/{deployment}/create_flow_run", json=body).raise_for_status()
            runs.append(made.json()["id"])
        return waiting()

    yield fill
    for run in runs:
        live.prefect.delete(f"/flow_runs/{run}")


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_an_upload_does_not_wait_behind_hundreds_of_backfills(
    live: "Live", make_clip: Callable[..., Path], backlog: Callable[[], int]
):
    idle = [seconds_to_first_task(live, make_clip(f"idle-{n}.mp4", seconds=0.3)) for n in range(SAMPLES)]
    assert backlog() > WAITING * 0.9
    busy = [seconds_to_first_task(live, make_clip(f"busy-{n}.mp4", seconds=0.3)) for n in range(SAMPLES)]
    print(f"first task after, seconds: idle {sorted(idle)}, with {WAITING} backfills waiting {sorted(busy)}")
    # One backfill at a time takes its share of the processors; a queue in front would take minutes.
    assert statistics.median(busy) <= 2 * statistics.median(idle) + 2
