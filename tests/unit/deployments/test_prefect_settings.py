"""What we tell Prefect's processes is what Prefect reads."""

import os
import subprocess
import sys

from deployments.embedded.workflow import CLIENT, SERVER

READ = """
from prefect.settings import get_current_settings
settings = get_current_settings()
print(sorted(settings.server.services.db_vacuum.enabled_vacuum_types), settings.server.events.retention_period)
print(settings.flows.heartbeat_frequency, settings.client.max_retries)
"""


def test_prefect_takes_every_setting_that_we_give_it():
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", READ],
        env={**os.environ, **CLIENT, **SERVER}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['events', 'orphans'] 7 days, 0:00:00", "30 10"]
