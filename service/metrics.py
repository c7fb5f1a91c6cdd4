"""Numbers for Prometheus: of the records, which every replica tells alike, and of this process's own requests."""

import shutil
import time
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.settings import Settings
from core.version import VERSION
from models.measuring import Measures, measure
from models.session import transaction
from models.stage_statistic import BOUNDS_S
from models.states import StageState

router = APIRouter(tags=["health"])

#: Upper bounds of the request histogram, seconds: a search is to take less than the third, an outage the last.
_REQUEST_BOUNDS_S: Final = (0.005, 0.02, 0.1, 0.5, 1.5, 5.0, 20.0)
#: A total of the records is a counter with this beginning.
_RECOVERED: Final = "recovered_"


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """Tell every number in Prometheus' text format."""
    registry: CollectorRegistry = request.app.state.metrics
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class Records(Collector):
    """The records' numbers, read when they are asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def describe(self) -> Iterable[Metric]:
        """Nothing: being registered asks the database nothing."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read and tell.

        Raises:
            DatabaseUnavailable: transient; the request is then answered 503.
        """
        with transaction(self._settings.database) as session:
            found = measure(session)
        yield from _of_videos(found)
        yield from _of_stages(found)
        yield _free_scratch(self._settings)
        yield InfoMetricFamily("dailies", "Which Dailies this process runs", value={"version": VERSION})


def _of_videos(found: Measures) -> Iterator[Metric]:
    videos = GaugeMetricFamily("dailies_videos", "Videos by status", labels=["status"])
    for status, number in found.videos.items():
        videos.add_metric([status.value], number)
    yield videos
    waiting = GaugeMetricFamily("dailies_waiting_uploads", "Uploads without a flow run, by queue", labels=["queue"])
    for queue, number in found.waiting.items():
        waiting.add_metric([queue.value], number)
    yield waiting
    yield GaugeMetricFamily(
        "dailies_oldest_waiting_seconds", "Age of the oldest upload without a flow run", value=found.oldest_waiting_s
    )
    recovered = CounterMetricFamily("dailies_recovered", "What reconcile set right, by kind", labels=["kind"])
    for name, value in found.counters.items():
        if name.startswith(_RECOVERED):
            recovered.add_metric([name.removeprefix(_RECOVERED)], value)
    yield recovered


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


def _free_scratch(settings: Settings) -> Metric:
    folder: Path = settings.scratch_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return GaugeMetricFamily("dailies_scratch_free_bytes", "Free space where media is worked on, here", value=free)


class Timed:
    """Measures how long requests take, by route; a pure ASGI layer, so that streams are not held up."""

    def __init__(self, app: ASGIApp, histogram: Histogram) -> None:
        self._app = app
        self._histogram = histogram

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note the time until its last byte."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), "500"

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            # The template, never the path: ids would make a series each.
            route = getattr(scope.get("route"), "path", "other")
            self._histogram.labels(route, status).observe(time.perf_counter() - began)


def registry_for(settings: Settings) -> tuple[CollectorRegistry, Histogram]:
    """Make a registry of one application: tests make several in one process."""
    registry = CollectorRegistry(auto_describe=False)
    histogram = Histogram(
        "dailies_request_seconds",
        "Time until the last byte of an answer, by route and status",
        ["route", "status"],
        buckets=_REQUEST_BOUNDS_S,
        registry=registry,
    )
    registry.register(Records(settings))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry, histogram
