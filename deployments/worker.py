"""Prefect's worker, on a machine that was tried first; and beside it, where a port is set, its numbers for Prometheus.

`python -m deployments.worker ARGUMENTS` is `prefect worker start ARGUMENTS`: one process either way, so that the numbers
end with the worker.
"""

import sys
from collections.abc import Iterable, Iterator
from threading import Event, Thread
from typing import Final

import psutil
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from core.errors import MissingDependency, TransientError
from core.settings import Settings
from media.jail import layers
from media.rung_encoders import require_encoder
from media.tools import find_tools
from service.machine import Machine
from tasks.scratch import sweep

#: Seconds between two looks for what dead processes left in scratch: a run that goes on elsewhere clears nothing here.
SWEEP_EVERY_S: Final = 600.0


class Runs(Collector):
    """The flow runs whose processes this one started."""

    def describe(self) -> Iterable[Metric]:
        """Nothing: being registered asks nothing."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Count them; none where runs are pods or containers."""
        children = psutil.Process().children()
        yield GaugeMetricFamily(
            "dailies_worker_runs", "Flow runs in progress that this worker started", value=sum(map(_is_run, children))
        )


def _is_run(process: psutil.Process) -> bool:
    try:
        return "prefect.engine" in process.cmdline()
    except psutil.Error:
        return False  # it has ended


def registry_for(settings: Settings) -> CollectorRegistry:
    """Give everything that a worker tells."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in (Machine(settings, "dailies_worker"), Runs()):
        registry.register(collector)
    ProcessCollector(registry=registry)
    return registry


def try_media(settings: Settings) -> None:
    """Try what media work needs on this machine, before an upload is taken.

    On a Dask cluster other machines encode, and may alone have the encoder.

    Raises:
        MissingDependency: no ffmpeg, or not the encoder that the settings name (permanent).
    """
    try:
        layers()  # logs those that the kernel does not have
        tools = find_tools(settings.media)
        if settings.task_runner != "dask":
            require_encoder(settings.media, tools)
    except TransientError as error:
        sys.stderr.write(f"too busy to try what media work needs: {error}\n")  # the first run tries again


def keep_scratch_clean() -> None:
    """Remove what dead processes left in scratch, now and again for as long as this process lives."""
    Thread(target=_sweep, name="scratch", daemon=True).start()


def _sweep() -> None:
    pause = Event()
    while True:
        try:
            sweep()
        except OSError as error:
            sys.stderr.write(f"scratch could not be swept: {error}\n")
        pause.wait(SWEEP_EVERY_S)


def main() -> None:
    """Try the machine, then work on it; a worker whose numbers cannot be told works all the same."""
    settings = Settings()
    if settings.workflow.pool_template is None:  # runs that are pods or containers are on other machines
        try:
            try_media(settings)
        except MissingDependency as error:
            sys.exit(f"This worker cannot do media work: {error}")
        keep_scratch_clean()
    try:
        if settings.metrics.worker_port is not None:
            start_http_server(settings.metrics.worker_port, settings.metrics.worker_host, registry_for(settings))
    except Exception as error:  # noqa: BLE001 - a port that is taken must stop no work
        sys.stderr.write(f"no metrics of this worker: {type(error).__name__}: {error}\n")
    from prefect.cli import app

    sys.argv = ["prefect", "worker", "start", *sys.argv[1:]]
    app()


if __name__ == "__main__":
    main()
