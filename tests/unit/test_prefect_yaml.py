"""prefect.yaml: every key is one that Prefect knows, because it ignores the others in silence."""

import yaml
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.flows import load_flow_from_entrypoint

from core.settings import WorkflowSettings
from deployments.bootstrap import PREFECT_YAML, deployments, queues
from dispatch.runs import INGEST
from models.states import Queue


def test_every_deployment_names_a_flow_that_can_be_loaded():
    for deployment in deployments():
        assert load_flow_from_entrypoint(deployment.entrypoint).name


def test_every_key_is_known_to_prefect():
    model = PrefectYamlModel.model_validate(yaml.safe_load(PREFECT_YAML.read_text()))
    known = type(model.deployments[0]).model_fields.keys()
    for entry in yaml.safe_load(PREFECT_YAML.read_text())["deployments"]:
        assert entry.keys() <= known


def test_every_queue_of_the_code_exists_and_ingest_is_deployed_on_those_it_uses():
    assert {queue.name for queue in queues(WorkflowSettings())} == set(Queue)
    deployed = {
        f"{load_flow_from_entrypoint(entry.entrypoint).name}/{entry.name}": entry.work_pool.work_queue_name
        for entry in deployments()
    }
    for queue in (Queue.UPLOADS, Queue.BACKFILL):
        assert deployed[f"{INGEST}/{queue}"] == queue


def test_flows_have_no_retries_of_their_own():
    for deployment in deployments():
        assert load_flow_from_entrypoint(deployment.entrypoint).retries == 0
