"""Only what may succeed later is tried again, ever more slowly."""

import inspect

import pytest
from prefect.states import Failed

from core.errors import DailiesError, InvalidMedia, PermanentError, StorageUnavailable, TransientError
from core.stages import Stage
from tasks.retries import JITTER, POLICY, RetryPolicy, is_transient


def all_errors() -> list[type[DailiesError]]:
    found, pending = [], [DailiesError]
    while pending:
        for sub in pending.pop().__subclasses__():
            found.append(sub)
            pending.append(sub)
    return [error for error in found if error is not InvalidMedia]


@pytest.mark.parametrize("error", all_errors())
def test_transient_errors_are_retried_and_permanent_ones_are_not(error: type[DailiesError]):
    state = Failed(data=error.__new__(error))
    assert is_transient(None, None, state) is issubclass(error, TransientError)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [InvalidMedia("empty"), RuntimeError("a bug"), KeyError("x"), None])
def test_verdicts_and_unknown_errors_fail_at_once(error: Exception | None):
    assert is_transient(None, None, Failed(data=error)) is False  # type: ignore[arg-type]


def test_prefect_accepts_the_condition_only_as_a_plain_function():
    assert inspect.isfunction(is_transient)


def test_waits_double():
    assert RetryPolicy(retries=5, first_delay_s=2).delays_s == [2, 4, 8, 16, 32]  # 62 s in all


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_outlasts_the_restart_of_a_store(stage: Stage):
    # A store or database of the embedded stack is back within about 12 s; jitter may halve every wait.
    assert sum(POLICY[stage].delays_s) * (1 - JITTER) >= 15


def test_every_error_is_one_or_the_other():
    assert all(issubclass(error, TransientError | PermanentError) for error in all_errors())
    assert issubclass(StorageUnavailable, TransientError)
