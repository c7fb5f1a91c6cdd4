"""How processes of Prefect log: server, worker and every flow run. deployments/logging.yml names these functions."""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from core.logs import JsonFormatter, Redacting, secrets_of
from core.settings import get_settings

#: What PREFECT_LOGGING_SETTINGS_PATH must say.
CONFIGURATION: Final = Path(__file__).with_name("logging.yml")
#: Set by Prefect in the process of a flow run.
_RUN_ID: Final = "PREFECT__FLOW_RUN_ID"
#: Secrets of Prefect's own that a process may hold.
_SECRETS: Final = ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING")
#: A log of runs larger than this is moved aside when the next run begins; one older copy is kept.
MAX_BYTES: Final = 50 * 1024 * 1024


def formatter() -> logging.Formatter:
    """Give the formatter that the settings ask for; JSON tells the flow run in every line of its process."""
    if get_settings().logs.format == "json":
        return JsonFormatter({"run_id": os.environ.get(_RUN_ID)})
    from prefect.logging.formatters import PrefectFormatter

    where = "%(asctime)s | %(levelname)-7s | "
    return PrefectFormatter(
        format=f"{where}%(name)s - %(message)s",
        flow_run_fmt=f"{where}Flow run %(flow_run_name)r - %(message)s",
        task_run_fmt=f"{where}Task run %(task_run_name)r - %(message)s",
    )


def redacting() -> Redacting:
    """Give the filter that keeps secrets out, of ours and of Prefect's."""
    return Redacting(secrets_of(get_settings()) | {os.environ[name] for name in _SECRETS if os.environ.get(name)})


def run_log() -> logging.Handler:
    """Give the handler that writes a flow run's log to the file of the settings; elsewhere, one that writes nothing.

    The process of a run may outlive its worker, so it must not write to the worker's pipe.
    """
    path = get_settings().logs.file
    if path is None or _RUN_ID not in os.environ:
        return logging.NullHandler()
    with suppress(FileNotFoundError):
        if path.stat().st_size > MAX_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))
    path.parent.mkdir(parents=True, exist_ok=True)
    return logging.FileHandler(path, encoding="utf-8", delay=True)
