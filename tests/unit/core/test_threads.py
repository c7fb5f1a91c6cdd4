"""The library whose threads they are is asked itself: it tells what it read when it was loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.cores import allowed_cores

#: One for each place that loads a network.
WAYS = (
    "from encoders.load import load; from core.settings import EncoderSettings; load(EncoderSettings(device='cpu'))",
    "from media.transnet_network import network; network('cpu')",
)
QUOTA = "from pathlib import Path; from core.threads import share_processors as share; share(Path({!r})); import torch"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="torch brings another OpenMP library elsewhere")


def loaded_with(code: str, **environment: str) -> dict[str, str]:
    """Give what a fresh process's library of threads goes by, by the names of its variables."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**given, "OMP_DISPLAY_ENV": "VERBOSE", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    lines = [line.split(" = ") for line in done.stderr.splitlines() if " = " in line]
    return {name.split()[-1]: value.strip("'") for name, value in lines}


def threads_of(loaded: dict[str, str]) -> str:
    return loaded["OMP_NUM_THREADS"].split(",")[0]


@pytest.mark.parametrize("way", WAYS)
def test_threads_of_a_network_sleep_while_they_wait(way: str):
    assert loaded_with(way)["GOMP_SPINCOUNT"] == "0"


@pytest.mark.skipif(allowed_cores() == 1, reason="there is one processor with and without a quota")
def test_a_network_has_no_more_threads_than_a_containers_quota_has_processors(tmp_path: Path):
    file = tmp_path / "cpu.max"
    file.write_text("90000 100000\n")
    assert threads_of(loaded_with(QUOTA.format(str(file)))) == "1"


def test_what_the_environment_says_stands(tmp_path: Path):
    file = tmp_path / "cpu.max"
    file.write_text("90000 100000\n")
    loaded = loaded_with(QUOTA.format(str(file)), OMP_WAIT_POLICY="ACTIVE", OMP_NUM_THREADS="3")
    assert loaded["GOMP_SPINCOUNT"] != "0"
    assert threads_of(loaded) == "3"


def test_without_a_quota_the_library_counts_for_itself(tmp_path: Path):
    assert threads_of(loaded_with(QUOTA.format(str(tmp_path / "none")))) == str(allowed_cores())
