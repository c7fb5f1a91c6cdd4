"""The HTTP application, put together."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from anyio import CapacityLimiter
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

from core.settings import Settings, get_settings
from service import coverage, encoders, files, health, home, metrics, reruns, search, uploads, videos, webhook
from service.door import Door
from service.errors import answer_errors
from service.queues import Ask, Queues, runs_waiting
from service.sweep import (
    DISPATCH_AFTER_S,
    RECONCILE_AFTER_S,
    SETTLE_EVERY,
    Job,
    Repeated,
    dispatch_inbox,
    reconcile_all,
    settle_runs,
)
from service.turns import AT_ONCE

#: How often the queues are asked how long they are.
QUEUES_EVERY: Final = dt.timedelta(seconds=15)
#: What pages load from us and nobody else; hls.js is the full build, because the light one plays no separate sound.
STATIC: Final = Path(__file__).parent / "static"


def create_app(
    settings: Settings | None = None,
    *,
    dispatch: Job = dispatch_inbox,
    settle: Job = settle_runs,
    reconcile: Job = reconcile_all,
    waiting: Ask = runs_waiting,
) -> FastAPI:
    """Build the service; nothing is connected before the first request.

    Args:
        dispatch: asks for the runs of waiting inbox rows; done in a thread of its own, after events and by the clock.
        settle: follows the runs of live videos; done in another thread every few seconds.
        reconcile: finds what was lost; done in a third thread by the clock.
        waiting: counts the runs that wait, for metrics; done in a fourth one.
    """
    settings = settings or get_settings()
    queues = Queues(waiting)
    dispatcher = Repeated(dispatch, settings, first_after_s=DISPATCH_AFTER_S)
    background = (
        dispatcher,
        Repeated(settle, settings, first_after_s=RECONCILE_AFTER_S, period=SETTLE_EVERY),
        Repeated(reconcile, settings, first_after_s=RECONCILE_AFTER_S),
        Repeated(queues.look, settings, first_after_s=RECONCILE_AFTER_S, period=QUEUES_EVERY),
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        for job in background:
            job.start()
        try:
            yield
        finally:
            for job in background:
                await run_in_threadpool(job.stop)

    # The interactive pages of FastAPI load their scripts from the internet; the schema itself stays.
    app = FastAPI(title="Dailies", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.searches = CapacityLimiter(AT_ONCE)
    app.state.door = Door(settings=settings, wake=dispatcher.wake)
    app.state.metrics, requests, app.state.search_seconds = metrics.metrics_for(settings, queues)
    app.add_middleware(metrics.Timed, histogram=requests)
    answer_errors(app)
    for part in (health, metrics, webhook, uploads, videos, reruns, files, search, encoders, coverage, home):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app
