"""How many runs wait in Prefect, by queue; asked in the background, so that no scrape waits for Prefect."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from core.settings import Settings

#: Gives how many runs wait, by queue.
Ask = Callable[[Settings], Mapping[str, int]]


def runs_waiting(settings: Settings) -> Mapping[str, int]:
    """Ask Prefect."""
    # Imported here: the Prefect client takes a second to import, and the service answers before that.
    from dispatch.waiting import runs_waiting as ask

    return ask(settings)


class Queues(Collector):
    """What the newest look found; nothing before the first one, and nothing while Prefect does not answer."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._found: Mapping[str, int] = {}

    def look(self, settings: Settings) -> None:
        """Ask again."""
        try:
            self._found = self._ask(settings)
        except Exception:
            self._found = {}  # an old number would look like a new one
            raise

    def describe(self) -> Iterable[Metric]:
        """Nothing: being registered asks nobody."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Tell what was found."""
        runs = GaugeMetricFamily("dailies_queue_runs", "Runs that are due and wait in Prefect", labels=["queue"])
        for queue, number in self._found.items():
            runs.add_metric([queue], number)
        yield runs
