"""What a worker tries before its first run, and what it tells of those it started."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from core.errors import MissingDependency
from core.settings import MediaSettings, Settings, WorkflowSettings
from deployments.worker import Runs, make_ready
from tests.conftest import wait_for


def test_only_processes_of_flow_runs_are_counted():
    wait = "import sys; sys.stdin.read()"
    argv = ([sys.executable, "-c", wait, "prefect.engine"], [sys.executable, "-c", wait, "something else"])
    children = [subprocess.Popen(each, stdin=subprocess.PIPE) for each in argv]
    try:
        [family] = Runs().collect()
        assert [sample.value for sample in family.samples] == [1]
    finally:
        for child in children:
            child.communicate()


def test_a_worker_that_cannot_do_media_work_says_so_before_its_first_run(tmp_path: Path):
    lacking = Settings(media=MediaSettings(ffmpeg=tmp_path / "none"))
    with pytest.raises(MissingDependency):
        make_ready(lacking)
    make_ready(lacking.model_copy(update={"workflow": WorkflowSettings(pool_template=tmp_path / "pods.json")}))


def test_a_worker_keeps_its_scratch_free_of_what_dead_processes_left(tmp_path: Path):
    often = "from deployments import worker; worker.SWEEP_EVERY_S = 0.05; worker.make_ready(worker.Settings())"
    argv = [sys.executable, "-c", f"{often}; input()"]
    environment = {**os.environ, "DAILIES_SCRATCH": str(tmp_path)}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, env=environment) as working:
        for _ in range(2):
            left = tmp_path / str(uuid4()) / "1-dead" / "chunk"
            left.mkdir(parents=True)
            (left / "0.mp4").write_bytes(b"half a film")
            wait_for(lambda left=left: not left.exists(), "it is swept")
        working.communicate(b"\n")
    assert working.returncode == 0
    assert not list(tmp_path.iterdir())
