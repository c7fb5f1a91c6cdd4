"""What a machine has left and which Dailies runs there: told by the service, and by the worker where it is asked to."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from core.settings import Settings
from core.version import VERSION


class Machine(Collector):
    """The numbers of the machine that this process runs on.

    Args:
        name: what the process's version is told under: one name for each kind of process, so that each can be missed.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._scratch = settings.scratch_dir
        self._name = name

    def describe(self) -> Iterable[Metric]:
        """Nothing: being registered asks nothing."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Look and tell."""
        yield InfoMetricFamily(self._name, "Which Dailies this process runs", value={"version": VERSION})
        yield GaugeMetricFamily(
            "dailies_scratch_free_bytes", "Free space where media is worked on, here", value=self._free_bytes()
        )

    def _free_bytes(self) -> int:
        folder: Path = self._scratch
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free
