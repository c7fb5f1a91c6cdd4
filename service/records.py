"""What the records tell Prometheus: every replica tells the same."""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from threading import Lock
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session

from core.errors import DatabaseUnavailable
from core.settings import Settings
from models.counter import RECOVERIES, SET_RIGHT
from models.measuring import Measures, count_videos, measure
from models.session import transaction
from models.stage_statistic import BOUNDS_S, Noted, notes
from models.states import StageState, VideoStatus
from service.coverage import CoverageRow, coverage_of

log = logging.getLogger(__name__)

#: Seconds for which counts of all videos are told again: with a million of them, counting takes a while.
KEPT_S: Final = 15.0
#: What may have become of a video at a stage, as coverage names it.
_COVERED: Final = ("produced", "stale", "empty", "failed", "missing")


class Records(Collector):
    """The records' numbers, read when they are asked for; without a database it says so, and nothing else."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._counted: tuple[float, dict[VideoStatus, int], list[CoverageRow]] | None = None
        self._counting = Lock()

    def describe(self) -> Iterable[Metric]:
        """Nothing: being registered asks the database nothing."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read and tell."""
        try:
            with transaction(self._settings.database) as session:
                videos, coverage = self._counts(session)
                found = measure(session)
        except DatabaseUnavailable as error:
            log.warning("metrics: %s", error)
            yield _is_up(0)
            return
        yield _is_up(1)
        yield from _of_videos(videos, coverage)
        yield from _of_work(found)
        yield from _of_stages(found)
        yield from _of_outcomes(found)

    def _counts(self, session: Session) -> tuple[dict[VideoStatus, int], list[CoverageRow]]:
        with self._counting:
            if self._counted is None or time.monotonic() - self._counted[0] > KEPT_S:
                counts = count_videos(session), coverage_of(session, self._settings)
                self._counted = (time.monotonic(), *counts)
            return self._counted[1:]


def _is_up(value: int) -> Metric:
    return GaugeMetricFamily("dailies_database_up", "Whether the database answers; 0: nothing else of it", value=value)


def _of_videos(videos: Mapping[VideoStatus, int], coverage: Iterable[CoverageRow]) -> Iterator[Metric]:
    by_status = GaugeMetricFamily("dailies_videos", "Videos by status", labels=["status"])
    for status, number in videos.items():
        by_status.add_metric([status.value], number)
    yield by_status
    covered = GaugeMetricFamily(
        "dailies_coverage_videos",
        "Videos by what became of them at a stage, and in a space of embeddings, by today's recipe",
        labels=["stage", "space", "state"],
    )
    for row in coverage:
        for state in _COVERED:
            covered.add_metric([row.stage.value, row.space or "", state], getattr(row, state))
    yield covered


def _of_work(found: Measures) -> Iterator[Metric]:
    waiting = GaugeMetricFamily("dailies_waiting_uploads", "Uploads without a flow run, by queue", labels=["queue"])
    for queue, number in found.waiting.items():
        waiting.add_metric([queue.value], number)
    yield waiting
    yield GaugeMetricFamily(
        "dailies_oldest_waiting_seconds", "Age of the oldest upload without a flow run", value=found.oldest_waiting_s
    )
    yield GaugeMetricFamily(
        "dailies_longest_silence_seconds",
        "Longest time that a video in work has had no stage or share begin or end",
        value=found.longest_silence_s,
    )
    recovered = CounterMetricFamily("dailies_recovered", "What would have been lost, by kind", labels=["kind"])
    upkeep = CounterMetricFamily("dailies_upkeep", "What else reconcile and redrives did, by kind", labels=["kind"])
    for name, value in found.counters.items():
        if name.startswith(SET_RIGHT):
            kind = name.removeprefix(SET_RIGHT)
            (recovered if kind in RECOVERIES else upkeep).add_metric([kind], value)
    yield recovered
    yield upkeep


def _of_stages(found: Measures) -> Iterator[Metric]:
    took = HistogramMetricFamily(
        "dailies_stage_seconds",
        "Wall time of stages and their shares, by how they ended",
        labels=["stage", "part", "outcome"],
    )
    media = CounterMetricFamily(
        "dailies_stage_media_seconds",
        "Seconds of media in them; by dailies_stage_seconds_sum it gives the realtime factor",
        labels=["stage", "part"],
    )
    for one in found.stages:
        bounds = [*(str(bound) for bound in BOUNDS_S), "+Inf"]
        cumulative = list(zip(bounds, accumulate(one.buckets), strict=True))
        took.add_metric([one.stage.value, one.part, one.state.value], cumulative, sum_value=one.seconds)
        if one.state is StageState.DONE and one.media_s:
            media.add_metric([one.stage.value, one.part], one.media_s)
    yield took
    yield media


def _of_outcomes(found: Measures) -> Iterator[Metric]:
    """Tell every end of every execution, those of which no time is kept, too."""
    known: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    retries = CounterMetricFamily(
        "dailies_stage_retries", "Executions that were not the first one of their attempt", labels=["stage", "part"]
    )
    for one in found.stages:
        known[one.stage.value, one.part][one.state.value] = one.runs
    for each in notes(found.counters):
        if each.what is Noted.RETRIED:
            retries.add_metric([each.stage.value, each.part], each.executions)
        else:
            known[each.stage.value, each.part][each.what.value] = each.executions
    ended = CounterMetricFamily(
        "dailies_stage_ended", "Executions of stages and their shares, by outcome", labels=["stage", "part", "outcome"]
    )
    outcomes = (StageState.DONE, StageState.REUSED, StageState.FAILED, Noted.REJECTED, Noted.ABANDONED)
    for (stage, part), numbers in known.items():
        # Zeros, too: the first failure of a kind would otherwise begin a series, and no rate would see it.
        for outcome in outcomes:
            ended.add_metric([stage, part, outcome.value], numbers.get(outcome.value, 0))
    yield ended
    yield retries
