"""Searches take turns in threads of their own, so that webhooks and pages never wait behind a network that loads."""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Request

#: Searches at a time; the others wait. The network uses every core by itself.
AT_ONCE: Final = 4

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


async def in_turn(
    request: Request, search: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """Run a search in a thread when it is its turn."""
    limiter: CapacityLimiter = request.app.state.searches
    return await run_sync(lambda: search(*arguments, **named), limiter=limiter)
