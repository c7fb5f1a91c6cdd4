"""Every door of resume leads to the first unfinished stage, whatever stopped the run; the Prefect UI is in tests/browser."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from core.faults import TAKEN, Fault, Moment, armed
from core.stages import Stage
from models.session import transaction

if TYPE_CHECKING:
    from tests.conftest import Live

Door = Callable[["Live", dict[str, Any]], None]


def command(live: "Live", *words: str) -> None:
    """Run a command as an operator does, who knows the stack's addresses."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        env={**os.environ, **live.environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def flow_run_retry(live: "Live", video: dict[str, Any]) -> None:
    command(live, "prefect", "flow-run", "retry", video["flow_run_id"])


def dailies_rerun(live: "Live", video: dict[str, Any]) -> None:
    command(live, "cli.main", "rerun", video["video_id"][:8], "--data", str(live.data))


def post_rerun(live: "Live", video: dict[str, Any]) -> None:
    live.service.post(f"/videos/{video['video_id']}/rerun", json={}).raise_for_status()


def redrive(live: "Live", video: dict[str, Any]) -> None:
    body = {"status": "failed", "fingerprint": video["failure"]["fingerprint"]}
    answer = live.service.post("/redrive", json=body).raise_for_status().json()
    assert video["video_id"] in answer["video_ids"]


def redrive_form(live: "Live", video: dict[str, Any]) -> None:
    deployment = live.prefect.get("/deployments/name/redrive/by-hand").raise_for_status().json()["id"]
    choice = {"error_fingerprint": video["failure"]["fingerprint"], "dry_run": False}
    made = live.prefect.post(f"/deployments/{deployment}/create_flow_run", json={"parameters": choice})
    assert live.ended_run(made.raise_for_status().json()["id"])["state"]["type"] == "COMPLETED"


DOORS = (flow_run_retry, dailies_rerun, post_rerun, redrive, redrive_form)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", [Fault.RAISE, Fault.KILL])
@pytest.mark.parametrize("door", DOORS)
def test_every_door_resumes_at_the_stage_that_stopped(
    live: "Live", make_clip: Callable[..., Path], door: Door, fault: Fault
):
    clip = make_clip(f"{door.__name__}-{fault}.mp4", seconds=0.4)
    ticket = live.service.post("/videos/upload/init", json={"file_name": clip.name}).raise_for_status().json()
    with transaction(live.settings.database) as session:
        # It has used up its automatic resumes: a kill, too, waits for a person.
        session.execute(text("UPDATE video SET auto_resumes = 3 WHERE id = :id"), {"id": ticket["video_id"]})
    file = armed(live.faults, ticket["video_id"], Stage.STILLS, Moment.BEFORE)
    file.write_text(fault)
    live.put(clip, ticket["key"])
    live.wait_for(file.with_name(file.name + TAKEN).exists, "the fault", 120)
    failed = live.wait_for_status(ticket["video_id"], "failed", "indexed")
    assert failed["status"] == "failed"
    live.ended_run(failed["flow_run_id"])
    door(live, failed)
    done = live.wait_for_status(ticket["video_id"], "indexed")
    assert done["flow_run_id"] == failed["flow_run_id"], "the same run goes on"
    times = {stage["stage"]: stage["attempts"] for stage in done["stages"]}
    assert times == dict.fromkeys(times, 1) | {"stills": 2}
    states = {run["name"].split()[0]: run["state_name"] for run in live.task_runs(done["flow_run_id"])}
    assert {states[name] for name in ("validate", "assemble", "detect")} == {"Cached"}
