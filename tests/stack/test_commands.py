import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from core.settings import Settings
from tests.stack.conftest import ROOT, StandIn, wait_until

if TYPE_CHECKING:
    from tests.conftest import Live


def dailies(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def test_help_names_every_command_and_gives_examples():
    shown = dailies("--help")
    assert shown.returncode == 0
    for word in ("up", "down", "status", "doctor", "dailies up --detach"):
        assert word in shown.stdout


@pytest.mark.parametrize("arguments", [("--help",), ("status", "--data", "/nonexistent/folder")])
def test_quick_commands_import_neither_prefect_nor_torch(arguments: tuple[str, ...]):
    script = (
        f"import sys; sys.argv = ['dailies', *{arguments!r}]\nfrom cli.main import main\n"
        "try:\n    main()\nfinally:\n    print({'prefect', 'torch', 'minio', 'psycopg'} & set(sys.modules))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert shown.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("arguments", [("nonsense",), ("up", "--nonsense"), ("status", "surplus")])
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]):
    assert dailies(*arguments).returncode == 2


def test_status_of_nothing_exits_with_1_and_says_what_to_do(tmp_path: Path):
    shown = dailies("status", "--data", tmp_path / "none")
    assert shown.returncode == 1
    assert "dailies up" in shown.stdout
    document = json.loads(dailies("status", "--json", "--data", tmp_path / "none").stdout)
    assert (document["phase"], document["is_up"], document["parts"]) == ("down", False, [])
    assert not (tmp_path / "none").exists()


def test_the_data_folder_may_come_from_the_environment(tmp_path: Path):
    shown = dailies("status", "--json", DAILIES_DATA=str(tmp_path / "elsewhere"))
    assert json.loads(shown.stdout)["data"] == str((tmp_path / "elsewhere").resolve())


def test_down_of_nothing_is_no_error(tmp_path: Path):
    shown = dailies("down", "--data", tmp_path / "none")
    assert (shown.returncode, shown.stdout) == (0, "nothing was running\n")


def test_a_data_folder_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    shown = dailies("up", "--data", tmp_path / "file" / "data")
    assert shown.returncode == 1
    assert shown.stderr.startswith("dailies: the data folder")
    assert "--data" in shown.stderr
    assert len(shown.stderr.splitlines()) == 1


def test_status_shows_parts_and_exits_with_0_when_all_are_up(stand_in: StandIn):
    stand_in.up("steady")
    shown = dailies("status", "--data", stand_in.data)
    assert shown.returncode == 0
    assert [line.split()[:2] for line in shown.stdout.splitlines()[2:]] == [["one", "up"], ["two", "up"]]
    assert dailies("down", "--data", stand_in.data).stdout == "stopped\n"
    assert dailies("status", "--data", stand_in.data).returncode == 1


def test_doctor_finds_what_these_tests_run_on():
    shown = dailies("doctor", "--json")
    checks: dict[str, Any] = {check["name"]: check for check in json.loads(shown.stdout)}
    assert {"python", "ffmpeg", "ffprobe", "postgres", "store", "prefect", "torch", "disk", "account"} <= checks.keys()
    assert {checks[name]["verdict"] for name in ("python", "postgres", "store", "prefect", "torch")} == {"ok"}
    assert checks["prefect"]["found"] == "3.8.8"
    assert all(check["mend"] for check in checks.values() if check["verdict"] != "ok")


def test_doctor_says_how_to_mend_a_missing_ffmpeg(tmp_path: Path):
    shown = dailies("doctor", DAILIES_MEDIA__FFMPEG=str(tmp_path / "none"))
    assert shown.returncode == 1
    assert "DAILIES_MEDIA__FFMPEG" in shown.stdout


def test_the_real_stack_is_up_and_its_environment_reaches_it(live: "Live"):
    shown = dailies("status", "--json", "--data", live.data)
    document = json.loads(shown.stdout)
    assert shown.returncode == 0
    states = {part["name"]: part["state"] for part in document["parts"]}
    assert states == {
        "postgres": "up",
        "store": "up",
        "prefect": "up",
        "bootstrap": "done",
        "service": "up",
        "worker": "up",
    }
    assert live.service.get("/readyz").status_code == 200
    assert live.prefect.get("/health").json() is True
    assert document["service_url"] == live.environment["DAILIES_SERVICE__URL"]
    settings = live.settings
    assert isinstance(settings, Settings)
    for secret in (settings.events.token, settings.storage.secret_key):
        assert secret.get_secret_value() not in shown.stdout
        for log in (live.data / "logs").iterdir():
            assert secret.get_secret_value() not in log.read_text(errors="replace"), log


def test_a_second_up_of_the_real_stack_says_where_it_is(live: "Live"):
    shown = dailies("up", "--detach", "--data", live.data)
    assert shown.returncode == 0
    assert shown.stdout.startswith("already running:")
    assert live.environment["DAILIES_SERVICE__URL"] in shown.stdout


def test_the_real_stack_survives_the_death_of_its_database(live: "Live"):
    def parts() -> dict[str, Any]:
        document = json.loads(dailies("status", "--json", "--data", live.data).stdout)
        return {part["name"]: part for part in document["parts"]}

    before = parts()
    os.kill(before["postgres"]["pid"], signal.SIGKILL)
    os.kill(before["service"]["pid"], signal.SIGKILL)
    began = time.monotonic()
    wait_until(
        lambda: (
            all(parts()[name]["restarts"] == 1 for name in ("postgres", "service"))
            and all(part["state"] in {"up", "done"} for part in parts().values())
        ),
        "everything is up again",
        deadline_s=60,
    )
    assert time.monotonic() - began < 60
    assert live.service.get("/readyz").status_code == 200
    assert live.prefect.post("/flow_runs/count", json={}).status_code == 200
