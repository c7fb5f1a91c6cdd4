"""What a worker tries before its first run, and what it tells of those it started."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from core.errors import MissingDependency
from core.settings import MediaSettings, Settings
from deployments.worker import Runs, try_media
from media.tools import find_tools
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
        try_media(lacking)
    with pytest.raises(MissingDependency):  # the plan of the chunks needs it wherever they are encoded
        try_media(lacking.model_copy(update={"task_runner": "dask"}))


def test_where_a_cluster_encodes_a_worker_needs_no_encoder_of_its_own():
    elsewhere = Settings(media=MediaSettings(encoder="h264_nvenc"))
    if "h264_nvenc" in find_tools(elsewhere.media).encoders:
        pytest.skip("this ffmpeg has NVENC: whether it runs depends on the machine")
    with pytest.raises(MissingDependency, match="h264_nvenc"):
        try_media(elsewhere)
    try_media(elsewhere.model_copy(update={"task_runner": "dask"}))


def test_a_worker_keeps_its_scratch_free_of_what_dead_processes_left(tmp_path: Path):
    often = "from deployments import worker; worker.SWEEP_EVERY_S = 0.05; worker.keep_scratch_clean()"
    argv = [sys.executable, "-c", f"{often}; input()"]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "DAILIES_SCRATCH": str(scratch)}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, env=environment) as working:
        for _ in range(2):
            video = uuid4()
            made = tmp_path / f"{video}.made" / "1-dead" / "chunk"
            made.mkdir(parents=True)
            (made / "0.mp4").write_bytes(b"half a film")
            left = made.parents[1].rename(scratch / str(video))  # whole from the first moment
            wait_for(lambda left=left: not left.exists(), "it is swept")
        working.communicate(b"\n")
    assert working.returncode == 0
    assert not list(scratch.iterdir())
