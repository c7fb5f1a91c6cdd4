"""The command and the stack it talks to each say which Dailies they are."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from deployments.embedded.layout import Layout
from deployments.embedded.state import StackState, write_state
from tests.unit.cli.conftest import Ran

VERSION = version("dailies")


def test_the_command_tells_its_version(dailies: Callable[..., Ran]):
    assert dailies("--version").out.strip() == VERSION


@pytest.mark.parametrize(("release", "is_told"), [(VERSION, False), ("0.0.9", True)])
def test_status_tells_what_the_stack_runs_and_when_this_command_is_another(
    dailies: Callable[..., Ran], tmp_path: Path, release: str, is_told: bool
):
    layout = Layout.of(tmp_path / "stack")
    layout.make()
    write_state(layout, StackState(release=release))
    ran = dailies("status", "--data", layout.data)
    assert f"Dailies {release}" in ran.out
    assert (f"this command is of Dailies {VERSION}" in ran.out) is is_told
    assert dailies("status", "--data", layout.data, "--json").json["version"] == release
