"""What a worker tells of the runs it started."""

import subprocess
import sys

from deployments.worker import Runs


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
