"""Numbers for Prometheus: of records and queues, which every replica tells alike, and of this process's own requests."""

import time
from typing import Final, NamedTuple

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
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.settings import Settings
from service.judging import Sort
from service.machine import Machine
from service.queues import Queues
from service.records import Records

router = APIRouter(tags=["health"])

#: Upper bounds of the request histogram, seconds: a search is to take less than the third, an outage the last.
_REQUEST_BOUNDS_S: Final = (0.005, 0.02, 0.1, 0.5, 1.5, 5.0, 20.0)


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """Tell every number that can be had in Prometheus' text format."""
    registry: CollectorRegistry = request.app.state.metrics
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


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


class Metrics(NamedTuple):
    """What one application tells, and the histograms that its requests are noted in."""

    registry: CollectorRegistry
    #: By route and status.
    requests: Histogram
    #: By what was asked with.
    searches: Histogram


def metrics_for(settings: Settings, queues: Queues) -> Metrics:
    """Make the metrics of one application: tests make several in one process."""
    registry = CollectorRegistry(auto_describe=False)
    requests = Histogram(
        "dailies_request_seconds",
        "Time until the last byte of an answer, by route and status",
        ["route", "status"],
        buckets=_REQUEST_BOUNDS_S,
        registry=registry,
    )
    searches = Histogram(
        "dailies_search_seconds",
        "Time until a search was answered, by what was asked with, whichever page or route asked",
        ["kind"],
        buckets=_REQUEST_BOUNDS_S,
        registry=registry,
    )
    for kind in Sort:
        searches.labels(kind.value)  # told from the first scrape on, at 0
    for collector in (Records(settings), queues, Machine(settings, "dailies")):
        registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return Metrics(registry, requests, searches)
