"""What a worker tries before its first run, and what it tells of those it started."""

import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import MissingDependency
from core.settings import MediaSettings, Settings, WorkflowSettings
from deployments.worker import Runs, make_ready


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
