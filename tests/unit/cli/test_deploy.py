"""`dailies deploy` finds its Prefect server, or says how to name one."""

from collections.abc import Callable

import pytest

from tests.unit.cli.conftest import Ran


def test_without_a_server_and_without_a_stack_it_says_what_to_do(dailies: Callable[..., Ran]):
    ran = dailies("deploy")
    assert ran.code == 1
    assert "Start one with `dailies up`" in ran.err


def test_a_server_that_does_not_answer_is_told_in_one_sentence(
    dailies: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "0")
    ran = dailies("deploy", "--json")
    assert (ran.code, ran.out) == (1, "")
    assert "The Prefect server did not answer" in ran.err
