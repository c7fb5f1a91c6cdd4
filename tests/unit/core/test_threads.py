"""The library whose threads they are is asked itself: it tells what it read when it was loaded."""

import os
import subprocess
import sys

import pytest

#: Every way by which a process of ours comes to load torch.
WAYS = (
    "import encoders.bundled",
    "import encoders.checkpoint",
    "from media.transnet_network import network; network('cpu')",
)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="torch brings another OpenMP library elsewhere")


def loaded_with(code: str, **environment: str) -> dict[str, str]:
    """Give what a fresh process's library of threads goes by, by the names of its variables."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**given, "OMP_DISPLAY_ENV": "VERBOSE", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [line.split(" = ") for line in done.stderr.splitlines() if " = " in line]
    return {name.split()[-1]: value.strip("'") for name, value in lines}


@pytest.mark.parametrize("way", WAYS)
def test_threads_of_a_network_sleep_while_they_wait(way: str):
    assert loaded_with(way)["GOMP_SPINCOUNT"] == "0"


def test_a_network_has_no_more_threads_than_a_containers_quota_has_processors(tmp_path):
    (tmp_path / "cpu.max").write_text("90000 100000\n")
    quota = f"from pathlib import Path; from core import threads; threads.share_processors(Path({str(tmp_path)!r}, 'cpu.max'))"
    assert loaded_with(f"{quota}; import encoders.bundled")["OMP_NUM_THREADS"].split(",")[0] == "1"


def test_what_the_environment_says_stands():
    loaded = loaded_with(WAYS[0], OMP_WAIT_POLICY="ACTIVE", OMP_NUM_THREADS="3")
    assert loaded["GOMP_SPINCOUNT"] != "0"
    assert loaded["OMP_NUM_THREADS"] == "3"
