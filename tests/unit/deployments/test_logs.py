"""How processes of Prefect log: as the settings say, into the file of the settings, without secrets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import prefect.logging
import yaml

from deployments.embedded.environment import surroundings
from deployments.embedded.layout import Layout
from deployments.embedded.state import StackSecrets, StackState
from deployments.logs import CONFIGURATION, MAX_BYTES

RUN_ID = "0192a0c0-0000-7000-8000-000000000001"
SECRET = "a-key-of-the-store"

SAY = f"""
import logging
from prefect import flow  # sets logging up, as in every process of Prefect
from prefect.logging import get_logger
logging.getLogger("media.process").info("ffmpeg ended")
get_logger("prefect.flow_runs").warning("the key is {SECRET}", extra={{"flow_run_id": "{RUN_ID}", "flow_run_name": "film"}})
logging.getLogger("elsewhere").info("chatter")
"""


def said(tmp_path: Path, **environment: str) -> str:
    """Give what a process of Prefect writes to standard error."""
    known = {
        **os.environ,
        "PREFECT_LOGGING_SETTINGS_PATH": str(CONFIGURATION),
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "DAILIES_STORAGE__SECRET_KEY": SECRET,
        "DAILIES_LOGS__FILE": str(tmp_path / "logs" / "runs.log"),
        **environment,
    }
    done = subprocess.run(
        [sys.executable, "-c", SAY], env=known, capture_output=True, text=True, timeout=120, check=True
    )
    return done.stderr


def test_a_flow_run_logs_json_with_its_id_and_no_secret_to_the_file_of_the_settings(tmp_path: Path):
    console = said(tmp_path, DAILIES_LOGS__FORMAT="json", PREFECT__FLOW_RUN_ID=RUN_ID)
    written = (tmp_path / "logs" / "runs.log").read_text()
    assert SECRET not in console + written
    lines = [json.loads(line) for line in written.splitlines()]
    assert [(line["message"], line["run_id"]) for line in lines] == [
        ("ffmpeg ended", RUN_ID),
        ("the key is [hidden]", RUN_ID),
    ]
    assert lines[1]["run"] == "film"
    assert [json.loads(line)["message"] for line in console.splitlines()] == [line["message"] for line in lines]


def test_other_processes_of_prefect_leave_the_file_alone_and_text_is_the_default(tmp_path: Path):
    console = said(tmp_path)
    assert not (tmp_path / "logs").exists()
    assert "media.process - ffmpeg ended" in console
    assert "Flow run 'film' - the key is [hidden]" in console
    assert SECRET not in console


def test_a_log_of_runs_that_has_grown_too_large_is_moved_aside(tmp_path: Path):
    log = tmp_path / "logs" / "runs.log"
    log.parent.mkdir()
    with log.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    said(tmp_path, PREFECT__FLOW_RUN_ID=RUN_ID)
    assert log.stat().st_size < 1000
    assert log.with_name("runs.log.1").stat().st_size == MAX_BYTES + 1


def test_the_loggers_are_those_that_prefect_itself_names():
    prefects = yaml.safe_load((Path(prefect.logging.__file__).parent / "logging.yml").read_text())
    ours = yaml.safe_load(CONFIGURATION.read_text())
    assert prefects["handlers"].keys() <= ours["handlers"].keys()
    for name, logger in prefects["loggers"].items():
        assert ours["loggers"][name].get("handlers") == logger.get("handlers"), name
        assert ours["loggers"][name].get("propagate") == logger.get("propagate"), name
    assert all("secrets" in handler["filters"] for handler in ours["handlers"].values())


def test_the_parts_of_a_stack_log_so_and_their_runs_into_its_folder(tmp_path: Path):
    layout = Layout.of(tmp_path)
    ports = {"service": 1, "prefect": 2, "s3.port": 3}
    environment = surroundings(layout, StackState(ports=ports, secrets=StackSecrets()), "MARK")
    assert environment["PREFECT_LOGGING_SETTINGS_PATH"] == str(CONFIGURATION)
    assert environment["DAILIES_LOGS__FILE"] == str(layout.log("runs"))
