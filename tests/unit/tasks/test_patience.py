"""Waiting out outages: as often as told, and for nothing but what may pass."""

import pytest

from core.errors import DatabaseUnavailable, NotFound, TransientError
from tasks.patience import LONG_WAITS_S, patiently


class Flaky:
    """Fails a few times, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "here"


def test_an_outage_is_waited_out_and_one_that_lasts_is_told():
    assert patiently(Flaky(DatabaseUnavailable(), DatabaseUnavailable()), (0, 0)) == "here"
    with pytest.raises(TransientError):
        patiently(Flaky(*[DatabaseUnavailable() for _ in range(3)]), (0, 0))


def test_what_does_not_pass_is_told_at_once():
    flaky = Flaky(NotFound("gone"), NotFound("gone"))
    with pytest.raises(NotFound):
        patiently(flaky, (0, 0, 0))
    assert len(flaky.errors) == 1


def test_work_of_days_outlasts_a_weekend_night_and_looks_every_minute():
    assert sum(LONG_WAITS_S) > 24 * 3600
    assert max(LONG_WAITS_S) <= 60
