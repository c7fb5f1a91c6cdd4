"""The runner is chosen by the environment of the process that imports a flow."""

import os
import pickle
import subprocess
import sys

import pytest

from core import errors

SHOW = "from flows.ingest import ingest_video as f; print(type(f.task_runner).__name__, getattr(f.task_runner, 'address', ''))"


def imported(**environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", SHOW]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def test_tasks_go_to_the_cluster_that_is_named():
    done = imported(DAILIES_TASK_RUNNER="dask", DAILIES_DASK__ADDRESS="tcp://192.0.2.1:8786")
    assert done.stdout.split() == ["DaskRunner", "tcp://192.0.2.1:8786"], done.stderr


def test_tasks_stay_in_the_run_by_default():
    assert imported().stdout.split() == ["ThreadPoolTaskRunner"]


def test_a_cluster_without_an_address_is_refused_with_what_to_set():
    done = imported(DAILIES_TASK_RUNNER="dask")
    assert done.returncode != 0
    assert "DAILIES_DASK__ADDRESS" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("kind", [errors.EncoderKilled, errors.ScratchFull, errors.ObjectMissing, errors.InvalidMedia])
def test_an_error_crosses_to_another_machine_with_its_class_and_its_stage(kind: type[errors.DailiesError]):
    error = kind("damaged")
    error.add_note("stage: transcode")
    arrived = pickle.loads(pickle.dumps(error))
    assert (type(arrived), str(arrived), arrived.__notes__) == (kind, str(error), error.__notes__)
