"""How many threads a network has, and how they wait for one another; torch itself is not needed for it."""

import os
from pathlib import Path
from typing import Final

from core.cores import CPU_MAX, allowed_cores, usable_cores

#: Read once, by the OpenMP library that torch brings along, when it is loaded.
POLICY: Final = "OMP_WAIT_POLICY"
COUNT: Final = "OMP_NUM_THREADS"


def share_processors(cpu_max: Path = CPU_MAX) -> None:
    """Make the threads of networks good neighbours; call it before torch is imported.

    Threads that wait for one another sleep. By default they spin for a while first; beside ffmpeg, which keeps every
    processor busy, they spin away the very turn that the thread they wait for needs (benchmarks/waiting.py). And there
    are no more of them than a container's quota has processors, which the library does not know. What the environment
    says already stands.
    """
    os.environ.setdefault(POLICY, "PASSIVE")
    if (cores := usable_cores(cpu_max)) < allowed_cores():
        os.environ.setdefault(COUNT, str(cores))
