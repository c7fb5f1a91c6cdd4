"""How many processors this process may use: in a container, or under taskset, fewer than the machine has."""

import math
import os
from pathlib import Path
from typing import Final

#: What a container's runtime writes its quota to: microseconds of processor time in a period, or "max".
CPU_MAX: Final = Path("/sys/fs/cgroup/cpu.max")


def allowed_cores() -> int:
    """Count the processors that the scheduler leaves to this process; one at least."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores(cpu_max: Path = CPU_MAX) -> int:
    """Count the processors that the scheduler and a container's quota leave to this process; one at least."""
    try:
        quota, period = (int(word) for word in cpu_max.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return allowed_cores()  # no quota: the file is not there, or says "max"
    return max(1, min(allowed_cores(), math.ceil(quota / period)))
