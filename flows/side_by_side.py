"""Waiting for tasks that run side by side."""

from typing import Any

from prefect.futures import PrefectFuture, as_completed

from flows.runner import begun


def ended(*futures: PrefectFuture[Any]) -> None:
    """Wait until all of these have ended; raise the first failure.

    After a failure none is begun any more; those at work end first and keep what they made, so that a resume finds it
    and nothing writes to scratch behind the flow's back.
    """
    try:
        for future in as_completed(list(futures)):
            future.result()
    except BaseException:
        for future in begun(futures):
            future.wait()
        raise
