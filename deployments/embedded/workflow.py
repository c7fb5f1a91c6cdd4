"""Prefect's server and the worker that runs our flows, as parts of the stack."""

import datetime as dt
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Final

from core.agreed import HEARTBEAT_S, RESULT_BLOCK
from deployments.embedded.health import is_ok, post
from deployments.embedded.layout import Layout, postgres_url
from deployments.embedded.parts import Part
from deployments.embedded.ports import LOOPBACK

#: Name under which the worker reports to the server.
WORKER_NAME: Final = "embedded"
#: What every process that talks to Prefect needs to agree on, besides the address.
CLIENT: Final = {
    # The client itself repeats 429, 502 and 503 only; a server that restarts answers these too.
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500,504",
    "PREFECT_CLIENT_MAX_RETRIES": "10",
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": RESULT_BLOCK,
    # Heartbeats tell a running flow from a dead one.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_COLORS": "false",
    "PREFECT_CLI_COLORS": "false",
    "PREFECT_CLI_PROMPT": "false",
}
#: What the service alone is told besides: a client waits twice as long before each try, up to 17 minutes before the tenth.
#: A run would lose its work without that patience; the service does everything again in a moment, anyway.
SERVICE: Final = {"PREFECT_CLIENT_MAX_RETRIES": "2"}
#: What leaves the server's database by itself. Flow runs do not: Prefect's own vacuum would take failed ones, too, and with
#: them the Retry button; our flow `vacuum` knows which are needed no more. Logs and artifacts follow their runs.
SERVER: Final = {
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,orphans",
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "P7D",
}


def server_part(layout: Layout, port: int) -> Part:
    """Describe the Prefect server, its API and its UI."""
    address = f"http://{LOOPBACK}:{port}"
    return Part(
        name="prefect",
        argv=(sys.executable, "-m", "prefect", "server", "start", "--host", LOOPBACK, "--port", str(port)),
        env={
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": postgres_url(layout.postgres, "prefect", "postgresql+asyncpg"),
            # The UI is unpacked before it is served; beside the package, two stacks would share one copy.
            "PREFECT_UI_STATIC_DIRECTORY": str(layout.prefect / "ui"),
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            **SERVER,
        },
        cwd=layout.prefect,
        log=layout.log("prefect"),
        needs=("postgres",),
        is_ready=lambda: is_ok(f"{address}/api/health"),
        start_within_s=180.0,  # the first start makes its tables, on a slow disk too
        dead_when_silent_s=120.0,
        url=address,
    )


def worker_part(layout: Layout, api_url: str, pool: str) -> Part:
    """Describe the worker; the flow runs it starts inherit its environment."""
    check = _WorkerCheck(api_url, pool)
    return Part(
        name="worker",
        argv=(
            *(sys.executable, "-m", "deployments.worker"),
            *("--pool", pool, "--type", "process", "--name", WORKER_NAME),
        ),
        # Asking twice a second costs the server little, and an upload waits half a second instead of 10.
        env={"PREFECT_WORKER_QUERY_SECONDS": "0.5"},
        cwd=layout.scratch,
        log=layout.log("worker"),
        needs=("prefect", "bootstrap"),
        prepare=check.forget,
        is_ready=check,
        # A worker that is asked to end kills its flow runs silently, and they stay "running" for ever. Asked
        # themselves, they tell the server that they crashed, and can be resumed as soon as it is back.
        children_stop_within_s=8.0,
        stop_signal=signal.SIGKILL,  # it holds nothing; continued, it would report each crash a second time
    )


class _WorkerCheck:
    """Asks the server whether the worker has reported since its process was started."""

    def __init__(self, api_url: str, pool: str) -> None:
        self._question: Callable[[], object] = lambda: post(
            f"{api_url}/work_pools/{pool}/workers/filter", {"limit": 50}
        )
        self._after = dt.datetime.now(dt.UTC)

    def forget(self) -> None:
        """Let only reports from now on count."""
        self._after = dt.datetime.now(dt.UTC)

    def __call__(self) -> bool:
        workers = self._question()
        return isinstance(workers, list) and any(self._is_ours(worker) for worker in workers)

    def _is_ours(self, worker: Mapping[str, str | None]) -> bool:
        seen = worker.get("last_heartbeat_time")
        return worker.get("name") == WORKER_NAME and seen is not None and dt.datetime.fromisoformat(seen) > self._after
