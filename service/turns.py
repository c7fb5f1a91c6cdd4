"""Searches take turns in threads of their own, so that webhooks and pages never wait behind a network that loads."""

import time
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Request
from prometheus_client import Histogram

from service.judging import Sort

#: Searches at a time; the others wait. The network uses every core by itself.
AT_ONCE: Final = 4

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


async def in_turn(
    request: Request, search: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """Run a part of a search in a thread when it is its turn."""
    limiter: CapacityLimiter = request.app.state.searches
    return await run_sync(lambda: search(*arguments, **named), limiter=limiter)


async def searched(
    request: Request,
    sort: Sort,
    search: Callable[Arguments, Result],
    *arguments: Arguments.args,
    **named: Arguments.kwargs,
) -> Result:
    """Run a search as `in_turn` does, and note how long its answer took, the wait for its turn included."""
    histogram: Histogram = request.app.state.search_seconds
    began = time.perf_counter()
    found = await in_turn(request, search, *arguments, **named)
    histogram.labels(sort.value).observe(time.perf_counter() - began)
    return found
