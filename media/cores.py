"""How many processors media may use: in a container, or under taskset, fewer than the machine has."""

import math
import os
from pathlib import Path

from core.settings import MediaSettings


def cores_for(settings: MediaSettings) -> int:
    """Give the cores that the settings name, or those that this process may use."""
    return settings.cores or usable_cores()


def usable_cores(cpu_max: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Count the processors that the scheduler and a container's quota leave to this process; one at least."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (int(word) for word in cpu_max.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return allowed  # no quota: the file is not there, or says "max"
    return max(1, min(allowed, math.ceil(quota / period)))
