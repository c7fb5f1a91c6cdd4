"""The environment with which any process reaches one stack."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from core.settings import Settings
from deployments.embedded.application import code_folder
from deployments.embedded.layout import Layout, postgres_url
from deployments.embedded.ports import LOOPBACK
from deployments.embedded.state import StackState
from deployments.embedded.workflow import CLIENT
from deployments.logs import CONFIGURATION

#: A person's own Prefect, which a stack's processes must not reach by mistake.
_FOREIGN: Final = ("PREFECT_API_KEY", "PREFECT_PROFILE", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING")


def environment_for(layout: Layout, state: StackState) -> dict[str, str]:
    """Give the DAILIES_ and PREFECT_ variables of one stack; holds secrets."""
    ports, secrets = state.ports, state.secrets
    service, workflow = f"http://{LOOPBACK}:{ports['service']}", f"http://{LOOPBACK}:{ports['prefect']}"
    return {
        "DAILIES_DATA": str(layout.data),
        "DAILIES_DATABASE__URL": postgres_url(layout.postgres, "dailies"),
        "DAILIES_STORAGE__ENDPOINT": f"{LOOPBACK}:{ports['s3.port']}",
        "DAILIES_STORAGE__ACCESS_KEY": secrets.access_key,
        "DAILIES_STORAGE__SECRET_KEY": secrets.secret_key,
        "DAILIES_STORAGE__SECURE": "false",
        "DAILIES_EVENTS__TOKEN": secrets.token,
        "DAILIES_SERVICE__HOST": LOOPBACK,
        "DAILIES_SERVICE__PORT": str(ports["service"]),
        "DAILIES_SERVICE__URL": service,
        "DAILIES_WORKFLOW__UI_URL": workflow,
        "PREFECT_API_URL": f"{workflow}/api",
        "PREFECT_HOME": str(layout.prefect),
        **CLIENT,
    }


def surroundings(layout: Layout, state: StackState, mark: str) -> dict[str, str]:
    """Give the whole environment of the stack's own processes: the caller's, with the stack's laid over it."""
    inherited = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    return {
        **inherited,
        **environment_for(layout, state),
        mark: str(layout.data),
        "PYTHONUNBUFFERED": "1",
        "PREFECT_LOGGING_SETTINGS_PATH": str(CONFIGURATION),
        "DAILIES_LOGS__FILE": inherited.get("DAILIES_LOGS__FILE") or str(layout.log("runs")),
        "TMPDIR": str(layout.temporary),
        # Flow runs start in folders of their own and still find our packages.
        "PYTHONPATH": _joined(str(code_folder()), inherited.get("PYTHONPATH")),
        # A run's command is "python -m prefect.engine": it must mean the interpreter that runs the stack.
        "PATH": _joined(str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)),
        # A proxy for the outside world must not stand between the parts.
        "NO_PROXY": _joined(f"{LOOPBACK},localhost", inherited.get("NO_PROXY"), ","),
        "no_proxy": _joined(f"{LOOPBACK},localhost", inherited.get("no_proxy"), ","),
    }


def buckets() -> tuple[str, str]:
    """Give the names of the uploads bucket and the derived bucket as this environment has them."""
    storage = Settings().storage
    return storage.uploads_bucket, storage.derived_bucket


def work_pool(environment: Mapping[str, str] = os.environ) -> str:
    """Give the name of the work pool as this environment has it."""
    return environment.get("DAILIES_WORKFLOW__WORK_POOL") or Settings().workflow.work_pool


def _joined(first: str, rest: str | None, by: str = os.pathsep) -> str:
    return f"{first}{by}{rest}" if rest else first
