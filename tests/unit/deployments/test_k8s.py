"""The Kubernetes manifests: against the API's schemas, as kustomize builds them, and as Prefect's worker reads them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from core.settings import Settings, WorkflowSettings
from deployments.embedded.workflow import CLIENT, SERVICE
from deployments.pool import Pool, pool_for

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deployments" / "k8s"
OVERLAYS = ("base", "gpu")
#: The oldest release that the manifests are kept valid for.
VERSION = "1.30"
POOLS = tuple(FOLDER / name / "work-pool.json" for name in OVERLAYS)
#: Where `make kubernetes` puts the worker's package.
WORKER = Path(sys.prefix) / "kubernetes" / "bin" / "python"
#: What the worker makes of a run of each pool, and of its own environment.
ASK_WORKER = """
import asyncio, json, sys, uuid
from pathlib import Path
from prefect.client.schemas.objects import FlowRun
from prefect_kubernetes.settings import KubernetesSettings
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

async def job(path):
    template = json.loads(Path(path).read_text())["base_job_template"]
    made = await KubernetesWorkerJobConfiguration.from_template_and_values(template, {"env": {"GIVEN": "1"}})
    made.prepare_for_flow_run(FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), name="run"))
    return made.job_manifest

jobs = [asyncio.run(job(path)) for path in sys.argv[1:]]
print(json.dumps({"jobs": jobs, "settings": KubernetesSettings().model_dump(mode="json", exclude_unset=True)}))
"""


def kustomization(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / name / "kustomization.yaml").read_text())


def documents() -> list[dict[str, Any]]:
    folder = FOLDER / "base"
    return [d for name in kustomization("base")["resources"] for d in yaml.safe_load_all((folder / name).read_text())]


def worker_environment() -> dict[str, str]:
    worker = next(d for d in documents() if (d["kind"], d["metadata"]["name"]) == ("Deployment", "worker"))
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"]}


def pool(path: Path) -> dict[str, Any]:
    return Pool.model_validate_json(path.read_text()).base_job_template


@pytest.fixture(scope="module")
def read_by_worker() -> dict[str, Any]:
    if not WORKER.exists():
        if os.environ.get("CI"):
            pytest.fail("Prefect's Kubernetes worker is required here: make kubernetes")
        pytest.skip("Prefect's Kubernetes worker is not installed: `make kubernetes` brings it")
    environment = {**os.environ, **worker_environment(), "PREFECT_API_AUTH_STRING": "name:password"}
    argv = [WORKER, "-c", ASK_WORKER, *POOLS]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("document", documents(), ids=lambda d: f"{d['kind']} {d['metadata']['name']}")
def test_every_manifest_is_valid(document: dict[str, Any]):
    kubernetes_validate.validate(document, VERSION, strict=True)


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_overlay_contains_itself_and_every_generated_name_stays(name: str):
    folder, found = FOLDER / name, kustomization(name)
    assert not [entry for entry in found["resources"] if folder.is_relative_to((folder / entry).resolve())]
    # Flow runs name settings and secrets in the work pool's template, which kustomize does not rewrite.
    assert found["generatorOptions"] == {"disableNameSuffixHash": True}


@pytest.mark.parametrize("name", OVERLAYS)
def test_kustomize_builds_it(name: str, tmp_path: Path):
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed; what it would find is tested piece by piece all the same")
    shutil.copytree(FOLDER, tmp_path / "k8s")
    (tmp_path / "k8s" / "base" / "secrets.env").write_text("DAILIES_STORAGE__ACCESS_KEY=key\n")
    argv = [kubectl, "kustomize", tmp_path / "k8s" / name]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    built = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(done.stdout)}
    for document in built.values():
        kubernetes_validate.validate(document, VERSION, strict=True)
    settings = built["ConfigMap", "dailies-settings"]["data"]
    assert settings["DAILIES_WORKFLOW__POOL_TEMPLATE"] == f"/app/deployments/k8s/{name}/work-pool.json"
    assert settings["PREFECT_HOME"], "the base's settings are kept"
    assert ("Secret", "dailies-secrets") in built


@pytest.mark.parametrize("place", [0, 1], ids=OVERLAYS)
def test_the_worker_makes_a_valid_job_of_a_flow_run(read_by_worker: dict[str, Any], place: int):
    job = read_by_worker["jobs"][place]
    pod = job["spec"]["template"]["spec"]
    # Prefect insists on these two; they belong elsewhere, and the API ignores them where they are.
    assert [pod.pop("parallelism"), pod.pop("completions")] == [1, 1]
    kubernetes_validate.validate(job, VERSION, strict=True)
    (container,) = pod["containers"]
    assert container["args"] == ["python", "-m", "prefect.engine"]
    assert container["resources"]["limits"]["memory"]
    environment = {variable["name"]: variable for variable in container["env"]}
    assert environment["GIVEN"]["value"] == "1"
    # The node's cores are not the pod's.
    for name in ("DAILIES_MEDIA__CORES", "OMP_NUM_THREADS"):
        assert environment[name]["valueFrom"] == {"resourceFieldRef": {"resource": "requests.cpu"}}
    assert ("DAILIES_ENCODER__DEVICE" in environment) == (place == 1)


def test_the_worker_takes_the_secret_by_reference_and_watches_its_namespace_alone(read_by_worker: dict[str, Any]):
    secret = {"api_auth_string_secret_name": "dailies-secrets", "api_auth_string_secret_key": "PREFECT_API_AUTH_STRING"}
    assert read_by_worker["settings"]["worker"] == secret
    assert read_by_worker["settings"]["observer"] == {"namespaces": [kustomization("base")["namespace"]]}


def test_the_gpu_s_pool_is_the_other_one_and_what_a_gpu_needs():
    cpu, gpu = (pool(path) for path in POOLS)
    (container,) = gpu["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"]
    variables = gpu["variables"]["properties"]
    assert container["resources"]["limits"].pop("nvidia.com/gpu") == "{{ gpus }}"
    assert container["env"].pop() == {"name": "DAILIES_ENCODER__DEVICE", "value": "cuda"}
    assert variables.pop("gpus")["default"] == "1"
    variables["image"]["default"] = variables["image"]["default"].removesuffix("-gpu")
    assert gpu == cpu


@pytest.mark.parametrize("path", POOLS, ids=OVERLAYS)
def test_every_placeholder_of_a_work_pool_is_a_variable(path: Path):
    template = pool(path)
    text = json.dumps(template["job_configuration"])
    named = {part.split(" }}")[0] for part in text.split("{{ ")[1:]}
    assert named == set(template["variables"]["properties"])


def test_settings_exist_and_agree_with_the_embedded_stack_about_prefect():
    lines = [line for line in (FOLDER / "base" / "settings.env").read_text().splitlines() if not line.startswith("#")]
    found = dict(line.split("=", 1) for line in lines)
    cosmetic = {"PREFECT_LOGGING_COLORS", "PREFECT_CLI_COLORS", "PREFECT_CLI_PROMPT"}
    assert {name: value for name, value in CLIENT.items() if name not in cosmetic}.items() <= found.items()
    for name in found:
        if name.startswith("DAILIES_"):
            group, _, field = name.removeprefix("DAILIES_").lower().partition("__")
            kind = Settings.model_fields[group].annotation
            assert not field or field in getattr(kind, "model_fields", {}), name
        assert not any(word in name for word in ("SECRET", "TOKEN", "PASSWORD", "AUTH")), name


def test_every_file_of_the_image_that_is_named_is_in_the_tree():
    named = [n for path in FOLDER.rglob("*") if path.is_file() for n in re.findall(r"=/app/(\S+)", path.read_text())]
    assert len(named) == 3
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_the_service_is_less_patient_with_prefect_than_a_run():
    documents = yaml.safe_load_all((FOLDER / "base" / "service.yaml").read_text())
    deployment = next(document for document in documents if document["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {one["name"]: one["value"] for one in container["env"]} == SERVICE


def test_the_work_pool_of_the_settings_is_what_bootstrap_makes():
    assert pool_for(WorkflowSettings(pool_template=POOLS[0])).type == "kubernetes"
    assert pool_for(WorkflowSettings()).type == "process"


def test_git_does_not_see_the_secrets_that_are_written_beside_the_manifests():
    argv = ["git", "-C", ROOT, "check-ignore", "--quiet", "deployments/k8s/base/secrets.env"]
    assert subprocess.run(argv, timeout=60, check=False).returncode == 0
