"""Two Prefect workers on one pool, each with a disk of its own: what one of them lost, the other goes on with."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from sqlalchemy import text

from models.session import transaction

if TYPE_CHECKING:
    from tests.conftest import Live

COLOURS = ("red", "green", "blue", "yellow")


@pytest.fixture
def second_worker(live: "Live", tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Give what starts another worker on the pool and gives its scratch folder."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> Path:
        scratch = tmp_path / "scratch-b"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, **live.environment, "DAILIES_SCRATCH": str(scratch), "PATH": path}
        words = ("--pool", live.settings.workflow.work_pool, "--type", "process", "--name", "b")
        with (tmp_path / "b.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "prefect", "worker", "start", *words],
                    env={**environment, "PREFECT_WORKER_QUERY_SECONDS": "0.5"},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        return scratch

    yield start
    for process in started:
        # A run that is still at work here would go on after its worker.
        with_children = [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []
        process.kill()
        process.wait(20)
        for child in with_children:
            if child.is_running():
                child.kill()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_run_lost_with_its_machine_is_finished_by_another_worker(
    live: "Live", make_clip: Callable[..., Path], second_worker: Callable[[], Path]
):
    # Longer than two chunks of a minute, in few pictures: four chunks.
    key = live.put(make_clip("lost-machine.mp4", COLOURS, seconds=50.0, size="640x360"))
    video_id = live.wait_for(lambda: live.videos(key), "the video", 30)[0]["video_id"]

    def chunks(attempt: int) -> list[Any]:
        query = "SELECT part, state, fingerprint FROM stage_run WHERE video_id = :id AND part LIKE 'chunk %'"
        with transaction(live.settings.database) as session:
            found = session.execute(text(f"{query} AND attempt = :n"), {"id": video_id, "n": attempt})
            return list(found)

    def half_way() -> bool:
        return {"done", "running"} <= {row.state for row in chunks(1)}

    live.wait_for(half_way, "one chunk is done and another at work", 120, every_s=0.02)
    run_id = live.video(video_id)["flow_run_id"]
    machine_a = psutil.Process(live.wait_for(lambda: live.part("worker"), "the stack's worker", 30))
    machine_a.send_signal(signal.SIGSTOP)  # no word of what happened there, and nothing is taken any more
    try:
        flow = live.wait_for(lambda: live.flow_process(run_id), "the flow process", 10)
        flow.kill()
        prefix = f"{video_id}/chunk/"
        stored = [found.key for found in live.store.list(live.settings.storage.derived_bucket, prefix)]
        recorded = {key.split("/")[2] for key in stored if "result" in key}
        finished = {row.part for row in chunks(1) if row.fingerprint in recorded}
        assert finished
        assert len(finished) < len(COLOURS)
        scratch_a = live.settings.scratch_dir / video_id
        assert scratch_a.is_dir()
        shutil.rmtree(scratch_a)
        scratch_b = second_worker()

        video: dict[str, Any] = live.wait_for_status(video_id, "indexed", "failed", deadline_s=420)
        assert video["status"] == "indexed", video["error"]
        again = {row.part: row.state for row in chunks(2)}
        print(f"finished on A: {sorted(finished)}; on B: {again}")
        assert again == {f"chunk {n}": "reused" if f"chunk {n}" in finished else "done" for n in range(len(COLOURS))}
        cached = {run["name"] for run in live.task_runs(run_id) if run["state_name"] == "Cached"}
        print(f"Cached on B: {sorted(cached)}")
        assert {f"transcode {part}" for part in finished} <= cached
        assert any(name.startswith("validate") for name in cached)
        assert live.ended_run(run_id)["run_count"] == 2
        assert scratch_b.is_dir(), "B worked in its own scratch"
        assert not list(scratch_b.glob("*")), "and left nothing there"
        assert not scratch_a.exists()
    finally:
        machine_a.kill()  # continued, it would report a crash that is long mended; the stack starts another
        live.wait_for(lambda: live.part("worker") not in (None, machine_a.pid), "the stack's worker is back", 60)
