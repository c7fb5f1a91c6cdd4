"""A bare Prefect server in a process of its own: its database is a file that is thrown away."""

import datetime as dt
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import httpx

from deployments.described import PREFECT_YAML

#: Its first start makes its tables.
START_WITHIN_S = 120 * float(os.environ.get("TEST_PATIENCE", "1"))


@contextmanager
def bare_server(folder: Path) -> Iterator[str]:
    """Run a server that knows nothing yet; give the address of its API."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    api = f"http://127.0.0.1:{port}/api"
    log = folder / "server.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "DAILIES_"))},
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder}/prefect.db",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_STATIC_DIRECTORY": str(folder / "ui"),
        "DO_NOT_TRACK": "1",
    }
    argv = (sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui")
    with log.open("wb") as output:
        server = subprocess.Popen(argv, env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=folder)
    try:
        _wait(api, server, log)
        yield api
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait(api: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{api}/health", timeout=2).is_success:
                return
        except httpx.HTTPError:
            pass
        if server.poll() is not None:
            break
        time.sleep(0.2)
    raise AssertionError(f"the Prefect server did not start: {log.read_text()[-2000:]}")


def ago(seconds: float) -> dt.datetime:
    """Give the moment so long ago."""
    return dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds)


def entered(folder: Path, run_id: UUID, seconds_ago: float) -> None:
    """Let the run have been in its state for so long: the server stamps states by its own clock."""
    at = f"{ago(seconds_ago):%Y-%m-%d %H:%M:%S.%f}"
    with sqlite3.connect(folder / "prefect.db", timeout=30) as server:
        newest = "SELECT state_id FROM flow_run WHERE id = ?"
        changed = server.execute(f"UPDATE flow_run_state SET timestamp = ? WHERE id = ({newest})", (at, str(run_id)))
        assert changed.rowcount == 1


def run(api: str, *arguments: str, **settings: str) -> str:
    """Run a module against a server; give what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=PREFECT_YAML.parent,
        env={**os.environ, "PREFECT_API_URL": api, **settings},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def deploy(api: str, **settings: str) -> dict[tuple[str, str], str]:
    """Deploy everything; give what became of each thing."""
    told = json.loads(run(api, "cli.main", "deploy", "--json", **settings))
    return {(one["kind"], one["name"]): one["outcome"] for one in told}
