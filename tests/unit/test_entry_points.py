"""Every process of the product can be imported by a fresh interpreter, and none loads what it does not need."""

import subprocess
import sys
from functools import cache

import pytest

ENTRY_POINTS = [
    "cli.main",
    "service.app",
    "flows.backfill",
    "flows.embed",
    "flows.ingest",
    "flows.reconcile",
    "flows.redrive",
    "flows.vacuum",
    "deployments.bootstrap",
    "deployments.embedded.__main__",
    "deployments.worker",
    "models.migrate",
]


@cache
def loaded_by(module: str) -> frozenset[str]:
    """Import one module in a fresh interpreter; give every module that is there then."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return frozenset(done.stdout.split())


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_an_entry_point_imports_in_a_fresh_interpreter_and_loads_neither_network_nor_cluster(module: str):
    assert loaded_by(module).isdisjoint({"torch", "transformers", "distributed", "prefect_dask"})


@pytest.mark.parametrize("module", [name for name in ENTRY_POINTS if name.startswith("flows.")])
def test_every_flow_knows_the_block_that_keeps_results(module: str):
    # The worker names it to every run; a process that does not know its class ends before the flow begins.
    assert "tasks.result_store" in loaded_by(module)


def test_help_is_quick_because_nothing_slow_is_imported():
    assert loaded_by("cli.main").isdisjoint({"prefect", "sqlalchemy", "numpy", "minio"})
