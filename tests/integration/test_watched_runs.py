"""What is counted of runs that a real Prefect server has: recoveries, queues, and a worker's own numbers."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from core.errors import NotFound
from core.settings import Settings
from core.version import VERSION
from dispatch.reconcile import reconcile
from dispatch.redrive import advance, redrive
from dispatch.settle import Action, settle
from dispatch.waiting import runs_waiting
from models import Counter, SourceObject, Video, inbox
from models.session import transaction
from service.sweep import settle_runs
from tests.conftest import wait_for
from tests.integration.prefect_server import ago, entered
from tests.integration.test_redrive import begun, failed

ROOT = Path(__file__).parents[2]
LONG_AGO_S = 10_000.0


@pytest.fixture
def server(prefect_api: str) -> Iterator[str]:
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield prefect_api


def post(api: str, path: str, body: dict[str, Any]) -> Any:
    return httpx.post(f"{api}{path}", json=body, timeout=60).raise_for_status().json()


def a_run(api: str, state: str, **more: Any) -> UUID:
    flow = post(api, "/flows/", {"name": "ingest-video"})["id"]
    return UUID(post(api, "/flow_runs/", {"flow_id": flow, "state": {"type": state}, **more})["id"])


def of_run(settings: Settings, video_id: UUID, run_id: UUID) -> None:
    """Let a run be the one that works on a video."""
    with transaction(settings.database) as session:
        source_id = session.scalars(select(SourceObject.id).where(SourceObject.video_id == video_id)).one()
        inbox.mark_dispatched(session, source_id, run_id)
        session.get_one(Video, video_id).flow_run_id = run_id


def counters(settings: Settings) -> dict[str, int]:
    with transaction(settings.database) as session:
        return {row.name: row.value for row in session.scalars(select(Counter))}


def test_a_crashed_run_that_the_service_resumes_is_one_recovery(server: str, settings: Settings):
    video_id = begun(settings.database)
    run_id = a_run(server, "CRASHED")
    of_run(settings, video_id, run_id)
    wait_for(lambda: settle_runs(settings) and counters(settings), "it is resumed", 30)
    assert counters(settings) == {"recovered_resumed": 1}
    assert httpx.get(f"{server}/flow_runs/{run_id}").json()["state"]["name"] == "AwaitingRetry"
    settle(settings)
    assert reconcile(settings) is not None
    assert counters(settings)["recovered_resumed"] == 1, "nothing is counted twice"


def test_a_failed_run_that_nobody_noted_and_its_redrive_are_counted_apart(
    server: str, settings: Settings, prefect_folder: Path
):
    noted, unnoted = failed(settings.database, "x"), begun(settings.database)
    of_run(settings, noted, a_run(server, "FAILED"))
    of_run(settings, unnoted, run_id := a_run(server, "FAILED"))
    entered(prefect_folder, run_id, LONG_AGO_S)
    with transaction(settings.database) as session:
        session.get_one(Video, unnoted).alive_at = ago(LONG_AGO_S)
    assert settle(settings)[Action.FAIL] == 1
    assert counters(settings) == {"recovered_failed": 1}
    redrive(settings, per_minute=600)
    assert advance(settings) == 1
    assert counters(settings) == {"recovered_failed": 1, "recovered_redriven": 1}


def test_runs_that_are_due_are_counted_by_queue(server: str, settings: Settings):
    elsewhere = settings.workflow.model_copy(update={"work_pool": f"pool-{uuid4().hex[:6]}"})
    mine = settings.model_copy(update={"workflow": elsewhere})
    pool = elsewhere.work_pool
    with pytest.raises(NotFound):
        runs_waiting(mine)
    post(server, "/work_pools/", {"name": pool, "type": "process"})
    post(server, f"/work_pools/{pool}/queues", {"name": "uploads"})
    there = {"work_pool_name": pool, "work_queue_name": "uploads"}
    for state in ("SCHEDULED", "SCHEDULED", "COMPLETED"):
        a_run(server, state, **there)
    later = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2999-01-01T00:00:00Z"}}
    flow = post(server, "/flows/", {"name": "ingest-video"})["id"]
    post(server, "/flow_runs/", {"flow_id": flow, "state": later, **there})
    assert runs_waiting(mine) == {"default": 0, "uploads": 2}


@contextmanager
def a_worker(api: str, folder: Path, port: int) -> Iterator[str]:
    """Run a worker that is to tell its metrics; give its pool, which it makes itself."""
    pool = f"pool-{uuid4().hex[:6]}"
    environment = {
        **os.environ,
        "PREFECT_API_URL": api,
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DAILIES_METRICS__WORKER_PORT": str(port),
        "PYTHONPATH": str(ROOT),
    }
    argv = [sys.executable, "-m", "deployments.worker", "--pool", pool, "--type", "process"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield pool
    finally:
        process.kill()
        process.wait()


def works(api: str, pool: str) -> bool:
    answer = httpx.post(f"{api}/work_pools/{pool}/workers/filter", json={})
    return answer.is_success and bool(answer.json())


def test_a_worker_tells_its_version_its_scratch_and_its_runs(server: str, tmp_path: Path):
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]

    def answer() -> str | None:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/metrics").raise_for_status().text
        except httpx.HTTPError:
            return None

    with a_worker(server, tmp_path, port) as pool:
        text = wait_for(answer, "the worker answers", 60)
        wait_for(lambda: works(server, pool), "it works", 60)
    told = {s.name: s for family in text_string_to_metric_families(text) for s in family.samples}
    assert told["dailies_worker_info"].labels == {"version": VERSION}
    assert told["dailies_worker_runs"].value == 0
    assert told["dailies_scratch_free_bytes"].value > 0


def test_a_worker_whose_port_is_taken_works_all_the_same(server: str, tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with a_worker(server, tmp_path, taken.getsockname()[1]) as pool:
            wait_for(lambda: works(server, pool), "it works", 60)
    assert "no metrics of this worker: OSError" in (tmp_path / "log").read_text()
