"""Migrations expand; what they take away must have been unused for a release (docs/upgrade.md)."""

import ast
from pathlib import Path

import pytest

import models

VERSIONS = sorted((Path(models.__file__).parent / "migrations" / "versions").glob("*.py"))
#: File names of migrations that take something away, each after a release that no longer used it.
CONTRACTS: frozenset[str] = frozenset()
TAKES_AWAY = {"drop_column", "drop_table", "rename_table", "alter_column"}


def calls(path: Path) -> list[ast.Call]:
    upgrade = next(node for node in ast.parse(path.read_text()).body if getattr(node, "name", "") == "upgrade")
    return [node for node in ast.walk(upgrade) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]


def name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_a_migration_takes_nothing_away_that_the_release_before_may_use(path: Path):
    if path.name not in CONTRACTS:
        assert {name(call) for call in calls(path)}.isdisjoint(TAKES_AWAY)
        raw = " ".join(ast.unparse(call) for call in calls(path) if name(call) == "execute").upper()
        assert not any(words in raw for words in ("DROP COLUMN", "DROP TABLE", "SET NOT NULL", "RENAME "))


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_a_column_that_must_not_be_empty_has_a_default_for_code_that_does_not_know_it(path: Path):
    for call in calls(path):
        if name(call) == "add_column":
            column = ast.unparse(call)
            assert "nullable=True" in column or "server_default" in column or "Computed" in column, column


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_a_migration_does_not_wait_long_for_a_lock(path: Path):
    first = next(call for call in calls(path) if name(call) == "execute")
    assert "lock_timeout" in ast.unparse(first)
