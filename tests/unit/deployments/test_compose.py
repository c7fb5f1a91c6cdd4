"""docker-compose.yml as a document: what would rot unseen where no Docker engine is."""

import os
import re
import shutil
import stat
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.agreed import EVENTS_PATH
from core.settings import Settings
from deployments.compose import env
from deployments.embedded.workflow import CLIENT, SERVER, SERVICE
from tests.e2e.dask_cluster import AS_DEPLOYED

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docker-compose.yml"


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    return yaml.safe_load(FILE.read_text())["services"]


@pytest.fixture(scope="module")
def ours(services: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: s for name, s in services.items() if "DAILIES_DATABASE__URL" in s["environment"]}


def test_every_image_is_pinned_to_a_version(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        tag = service["image"].partition(":")[2]
        assert re.search(r"\d", tag), f"{name}: {service['image']}"


def test_ports_are_published_on_the_loopback_only(services: dict[str, dict[str, Any]]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_every_lasting_service_is_restarted_bounded_and_asked_how_it_is(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        if name == "bootstrap":
            continue
        assert service["restart"] == "unless-stopped", name
        assert "mem_limit" in service, name
        # Background work listens nowhere; when it stops, its process ends and is restarted.
        assert "healthcheck" in service or name == "prefect-services", name


def test_our_containers_have_no_rights_they_do_not_need(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        if service["image"].startswith("dailies:"):
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name


def test_no_secret_is_written_in_the_file(services: dict[str, dict[str, Any]]) -> None:
    secret = re.compile(r"PASSWORD|SECRET|TOKEN|AUTH|ACCESS_KEY|URL$")
    for name, service in services.items():
        for variable, value in service["environment"].items():
            if secret.search(variable) and ("@" in str(value) or not variable.endswith("URL")):
                assert re.search(r"\$\{[A-Z_]+:\?", str(value)), f"{name}: {variable}"


def test_all_processes_of_ours_agree_with_the_embedded_stack_about_prefect(ours: dict[str, dict[str, Any]]) -> None:
    cosmetic = {"PREFECT_LOGGING_COLORS", "PREFECT_CLI_COLORS", "PREFECT_CLI_PROMPT"}
    wanted = {name: value for name, value in CLIENT.items() if name not in cosmetic}
    assert ours
    for name, service in ours.items():
        agreed = wanted | (SERVICE if name == "service" else {})
        assert agreed.items() <= service["environment"].items(), name


def test_every_variable_of_ours_is_a_setting(ours: dict[str, dict[str, Any]]) -> None:
    for name, service in ours.items():
        for variable in service["environment"]:
            if variable.startswith("DAILIES_"):
                group, _, field = variable.removeprefix("DAILIES_").lower().partition("__")
                assert group in Settings.model_fields, f"{name}: {variable}"
                kind = Settings.model_fields[group].annotation
                assert not field or field in getattr(kind, "model_fields", {}), f"{name}: {variable}"


def test_the_store_announces_uploads_where_the_service_listens(services: dict[str, dict[str, Any]]) -> None:
    endpoint = services["store"]["environment"]["MINIO_NOTIFY_WEBHOOK_ENDPOINT_DAILIES"]
    port = services["service"]["environment"]["DAILIES_SERVICE__PORT"]
    assert endpoint == f"http://service:{port}{EVENTS_PATH}"


def test_env_file_gets_what_compose_asks_for_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    env.write(tmp_path / ".env")
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", FILE.read_text()))
    assert asked == set(env.SECRETS)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert asked == {line.partition("=")[0] for line in (tmp_path / ".env").read_text().split()}


def test_env_file_that_is_there_is_completed_and_never_changed(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# mine\nREDIS_PASSWORD=kept\nPOSTGRES_PASSWORD=\nWORKER_MEMORY=4g\n")
    added = env.write(path)
    lines = path.read_text().splitlines()
    assert {"# mine", "REDIS_PASSWORD=kept", "WORKER_MEMORY=4g"} < set(lines)
    assert "POSTGRES_PASSWORD" in added
    assert "REDIS_PASSWORD" not in added
    assert len([line for line in lines if line.startswith("POSTGRES_PASSWORD=")]) == 1
    assert env.write(path) == ()


def program(name: str, how: str) -> str:
    """Find a program; where every change is checked it must be there."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{name} is not installed; {how}")
    return found


def test_compose_accepts_the_file_with_secrets_and_names_the_one_that_is_missing(tmp_path: Path) -> None:
    compose = program("docker-compose", "`apt-get install docker-compose` brings it (no engine is needed)")
    file = tmp_path / ".env"
    env.write(file)
    lines = file.read_text().splitlines(keepends=True)

    def config() -> subprocess.CompletedProcess[str]:
        argv = [compose, "--env-file", str(file), "--file", str(FILE), "config", "--quiet"]
        return subprocess.run(argv, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, check=False)

    accepted = config()
    assert accepted.returncode == 0, accepted.stderr
    for missing in env.SECRETS:
        file.write_text("".join(line for line in lines if not line.startswith(f"{missing}=")))
        refused = config()
        assert refused.returncode != 0, missing
        assert re.search(rf"\b{missing}\b", refused.stderr), refused.stderr
        assert "run make env" in refused.stderr


def test_each_image_is_built_by_one_service(services: dict[str, dict[str, Any]]) -> None:
    images = [service["image"] for service in services.values() if "build" in service]
    assert sorted(images) == sorted({s["image"] for s in services.values() if s["image"].startswith("dailies:")})


def test_what_does_the_work_is_bounded_and_keeps_what_it_downloads(services: dict[str, dict[str, Any]]) -> None:
    for name in ("worker", "worker-gpu", "dask-worker"):
        assert {"mem_limit", "cpus", "pids_limit"} <= services[name].keys(), name
    for name in ("service", "worker", "worker-gpu", "dask-worker"):
        assert f"models:{services[name]['environment']['HF_HOME']}" in services[name]["volumes"], name


def test_a_worker_for_a_gpu_asks_for_one(services: dict[str, dict[str, Any]]) -> None:
    # An empty value would override the image's own.
    given = {name: services[name]["environment"]["DAILIES_ENCODER__DEVICE"] for name in ("worker", "worker-gpu")}
    assert given == {"worker": "${DAILIES_ENCODER__DEVICE:-}", "worker-gpu": "${DAILIES_ENCODER__DEVICE:-cuda}"}


def test_dask_workers_are_started_alike_here_in_the_docs_and_in_the_tests(services: dict[str, dict[str, Any]]) -> None:
    alike = " ".join(AS_DEPLOYED)
    documented = re.findall(r"^dask worker .*", (ROOT / "docs" / "deployment.md").read_text(), re.MULTILINE)
    assert documented
    for command in (*documented, " ".join(services["dask-worker"]["command"])):
        assert alike in command


@pytest.mark.parametrize("path", [".env", "deployments/k8s/base/secrets.env", "deployments/x/.env"])
def test_no_secret_enters_the_image(path: str) -> None:
    outcome = False
    for line in (ROOT / ".dockerignore").read_text().split():
        bare = line.removeprefix("!").removeprefix("**/")
        candidates = [Path(path), *Path(path).parents]
        names = [one.name if "**/" in line else str(one) for one in candidates]
        if any(fnmatch(name, bare) for name in names):
            outcome = not line.startswith("!")  # the last one that matches decides
    assert outcome


def test_dockerfile_passes_the_linter() -> None:
    hadolint = program("hadolint", "`make setup` brings it on Linux x86-64")
    done = subprocess.run([hadolint, ROOT / "deployments/Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


#: What the file itself decides: places inside a container, and addresses of its own services.
DECIDED = {
    "DAILIES_DATA",
    "DAILIES_DATABASE__URL",
    "DAILIES_DASK__ADDRESS",
    "DAILIES_LOGS__FILE",
    "DAILIES_METRICS__WORKER_HOST",
    "DAILIES_SCRATCH",
    "DAILIES_SERVICE__HOST",
    "DAILIES_SERVICE__PORT",
    "DAILIES_WORKFLOW__POOL_TEMPLATE",
    "DAILIES_WORKFLOW__WORK_POOL",
}


def test_every_setting_reaches_our_containers_from_env(ours: dict[str, dict[str, Any]]) -> None:
    settings = set(re.findall(r"^\| `(DAILIES_[A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE))
    assert "DAILIES_MEDIA__ENCODER" in settings
    raw = FILE.read_text()
    assert not {name for name in settings - DECIDED if not re.search(rf"\$\{{{name}:?[-?]", raw)}
    for name, service in ours.items():
        assert settings - DECIDED <= service["environment"].keys(), name


def test_both_stacks_keep_the_same_of_prefects_database(services: dict[str, dict[str, Any]]) -> None:
    for name in ("prefect", "prefect-services"):
        assert SERVER.items() <= services[name]["environment"].items()
    assert "flow_runs" not in SERVER["PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED"], "it would take failed runs"
