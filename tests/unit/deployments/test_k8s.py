"""The Kubernetes manifests against the schemas of the API they are for."""

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from core.settings import Settings, WorkflowSettings
from deployments.embedded.workflow import CLIENT, SERVICE
from deployments.pool import Pool, pool_for

FOLDER = Path(__file__).parents[3] / "deployments" / "k8s"
#: The oldest release that the manifests are kept valid for.
VERSION = "1.30"
BASE: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
POOLS = (FOLDER / "work-pool.json", FOLDER / "gpu" / "work-pool.json")


def documents() -> list[Any]:
    return [
        pytest.param(document, id=f"{document['kind']} {document['metadata']['name']}")
        for name in BASE["resources"]
        for document in yaml.safe_load_all((FOLDER / name).read_text())
    ]


def filled(value: Any, defaults: dict[str, Any]) -> Any:
    """Put a pool's defaults where its template has placeholders; what has none is left out, as Prefect does."""
    if isinstance(value, dict):
        pairs = ((key, filled(item, defaults)) for key, item in value.items())
        return {key: item for key, item in pairs if item is not None}
    if isinstance(value, list):
        return [filled(item, defaults) for item in value]
    if isinstance(value, str) and "{{" in value:
        name, rest = value.removeprefix("{{ ").split(" }}")
        return f"{defaults[name]}{rest}" if rest else defaults.get(name)
    return value


@pytest.mark.parametrize("document", documents())
def test_every_manifest_is_valid(document: dict[str, Any]):
    kubernetes_validate.validate(document, VERSION, strict=True)


@pytest.mark.parametrize("path", POOLS, ids=["cpu", "gpu"])
def test_a_flow_run_s_job_is_valid(path: Path):
    pool = Pool.model_validate_json(path.read_text())
    properties = pool.base_job_template["variables"]["properties"]
    defaults = {name: field.get("default") for name, field in properties.items()}
    job = filled(pool.base_job_template["job_configuration"]["job_manifest"], defaults | {"name": "run"})
    container = job["spec"]["template"]["spec"]["containers"][0]
    container["args"] = container["args"].split()  # the worker splits it
    kubernetes_validate.validate(job, VERSION, strict=True)
    assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("path", POOLS, ids=["cpu", "gpu"])
def test_every_placeholder_of_a_work_pool_is_a_variable(path: Path):
    template = Pool.model_validate_json(path.read_text()).base_job_template
    text = json.dumps(template["job_configuration"])
    named = {part.split(" }}")[0] for part in text.split("{{ ")[1:]}
    assert named == set(template["variables"]["properties"])


def test_settings_exist_and_agree_with_the_embedded_stack_about_prefect():
    lines = [line for line in (FOLDER / "settings.env").read_text().splitlines() if not line.startswith("#")]
    found = dict(line.split("=", 1) for line in lines)
    cosmetic = {"PREFECT_LOGGING_COLORS", "PREFECT_CLI_COLORS", "PREFECT_CLI_PROMPT"}
    assert {name: value for name, value in CLIENT.items() if name not in cosmetic}.items() <= found.items()
    for name in found:
        if name.startswith("DAILIES_"):
            group, _, field = name.removeprefix("DAILIES_").lower().partition("__")
            kind = Settings.model_fields[group].annotation
            assert not field or field in getattr(kind, "model_fields", {}), name
        assert not any(word in name for word in ("SECRET", "TOKEN", "PASSWORD", "AUTH")), name


def test_the_service_is_less_patient_with_prefect_than_a_run():
    documents = yaml.safe_load_all((FOLDER / "service.yaml").read_text())
    deployment = next(document for document in documents if document["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert {one["name"]: one["value"] for one in container["env"]} == SERVICE


def test_the_work_pool_of_the_settings_is_what_bootstrap_makes():
    assert pool_for(WorkflowSettings(pool_template=POOLS[0])).type == "kubernetes"
    assert pool_for(WorkflowSettings()).type == "process"
