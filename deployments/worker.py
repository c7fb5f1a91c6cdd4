"""Prefect's worker, and beside it, where a port is set, its numbers for Prometheus.

`python -m deployments.worker ARGUMENTS` is `prefect worker start ARGUMENTS`: one process either way, so that the numbers
end with the worker.
"""

import sys
from collections.abc import Iterable, Iterator

import psutil
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from core.settings import Settings
from service.machine import Machine


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


def main() -> None:
    """Start both; a worker whose numbers cannot be told works all the same."""
    try:
        settings = Settings()
        if settings.metrics.worker_port is not None:
            start_http_server(settings.metrics.worker_port, settings.metrics.worker_host, registry_for(settings))
    except Exception as error:  # noqa: BLE001 - a port that is taken must stop no work
        sys.stderr.write(f"no metrics of this worker: {type(error).__name__}: {error}\n")
    from prefect.cli import app

    sys.argv = ["prefect", "worker", "start", *sys.argv[1:]]
    app()


if __name__ == "__main__":
    main()
