"""prefect.yaml: every key is one that Prefect knows, because it ignores the others in silence; its forms explain themselves."""

from typing import Any

import pytest
import yaml
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from pydantic import BaseModel

from core.settings import WorkflowSettings
from core.version import VERSION
from deployments.described import PREFECT_YAML, Deployment, deployments
from deployments.pool import GPU_QUEUE, WAITING_COMMAND, queues
from dispatch.runs import INGEST
from models.states import Queue

WRITTEN = yaml.safe_load(PREFECT_YAML.read_text())
DEPLOYED = {f"{load_flow_from_entrypoint(entry.entrypoint).name}/{entry.name}": entry for entry in deployments()}
PARAMETERS = [
    (name, parameter, schema)
    for name, entry in DEPLOYED.items()
    for parameter, schema in parameter_schema(load_flow_from_entrypoint(entry.entrypoint)).properties.items()
]


def unknown(given: Any, model: BaseModel | None, place: str = "") -> list[str]:
    """Name the keys of a document that a model which has read it does not know."""
    if not isinstance(given, dict) or not isinstance(model, BaseModel):
        return []
    names = {field.alias or name: name for name, field in type(model).model_fields.items()}
    found = [f"{place}{key}" for key in given if key not in names]
    for key, value in given.items():
        if key in names:
            read = getattr(model, names[key])
            pairs = zip(value, read, strict=True) if isinstance(value, list) else [(value, read)]
            found += [bad for some, inner in pairs for bad in unknown(some, inner, f"{place}{key}.")]
    return found


def test_every_key_is_known_to_prefect_and_one_that_is_not_would_be_noticed():
    assert unknown(WRITTEN, PrefectYamlModel.model_validate(WRITTEN)) == []
    wrong = {
        "deployments": [{"name": "a", "work_pool": {"queue": "b"}, "schedules": [{"cron": "* * * * *"}], "timeout": 3}]
    }
    assert set(unknown(wrong, PrefectYamlModel.model_validate(wrong))) == {
        "deployments.work_pool.queue",
        "deployments.timeout",
    }


def test_no_two_deployments_have_the_same_name_and_each_is_of_this_version_tagged_and_described():
    assert len(DEPLOYED) == len(deployments())
    for entry in DEPLOYED.values():
        assert entry.version == VERSION
        assert entry.tags[0] == "dailies"
        assert len(entry.description) > 40


def test_every_queue_of_the_code_exists_and_ingest_is_deployed_on_those_it_uses():
    assert {queue.name for queue in queues(WorkflowSettings())} == set(Queue)
    assert {entry.work_pool.work_queue_name for entry in DEPLOYED.values()} == set(Queue)
    for queue in (Queue.UPLOADS, Queue.BACKFILL):
        assert DEPLOYED[f"{INGEST}/{queue}"].work_pool.work_queue_name == queue


def test_a_queue_for_gpus_is_there_when_one_is_configured():
    assert {queue.name: queue.concurrency_limit for queue in queues(WorkflowSettings(gpu_at_once=2))}[GPU_QUEUE] == 2


def test_whatever_waits_in_the_backfill_queue_yields_the_processor():
    for entry in DEPLOYED.values():
        waits = entry.work_pool.work_queue_name == Queue.BACKFILL
        assert entry.work_pool.job_variables.get("command") == (WAITING_COMMAND if waits else None)


def test_flows_have_no_retries_of_their_own_and_tell_their_version():
    for entry in DEPLOYED.values():
        flow = load_flow_from_entrypoint(entry.entrypoint)
        assert (flow.retries, flow.version) == (0, VERSION)


@pytest.mark.parametrize(("name", "parameter", "schema"), PARAMETERS)
def test_the_form_says_what_every_parameter_means_and_what_it_may_be(name: str, parameter: str, schema: dict[str, Any]):
    assert schema.get("description", "").strip(), f"{name}: {parameter} has no help text"
    kinds = {schema.get("type"), *(one.get("type") for one in schema.get("anyOf", []))}
    if "integer" in kinds:
        assert "minimum" in schema or any("minimum" in one for one in schema.get("anyOf", [])), "a number has bounds"
    required = parameter_schema(load_flow_from_entrypoint(DEPLOYED[name].entrypoint)).required
    assert "default" in schema or parameter in required


def test_what_a_schedule_or_a_deployment_sets_are_parameters_of_its_flow():
    for name, entry in DEPLOYED.items():
        known = parameter_schema(load_flow_from_entrypoint(entry.entrypoint)).properties
        for given in (entry.parameters, *(schedule.parameters for schedule in entry.schedules)):
            assert given.keys() <= known.keys(), name


def test_what_removes_or_reruns_begins_with_a_dry_run_at_the_form():
    for name in ("redrive/by-hand", "vacuum/nightly"):
        schema = parameter_schema(load_flow_from_entrypoint(DEPLOYED[name].entrypoint)).properties
        assert schema["dry_run"]["default"] is True
        assert "dry_run" not in DEPLOYED[name].parameters


def test_a_key_that_nobody_knows_is_an_error():
    with pytest.raises(ValueError, match="work_pol"):
        Deployment.model_validate({**WRITTEN["deployments"][0], "work_pol": {}})
