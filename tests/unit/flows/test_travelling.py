"""What a Dask cluster is sent: a run's flow travels with each of its tasks, so all of it must be picklable."""

import cloudpickle
import pytest
from prefect.flows import Flow

from flows.embed import embed_video
from flows.ingest import ingest_video


@pytest.mark.parametrize("flow", [ingest_video, embed_video], ids=lambda flow: flow.name)
def test_a_flow_can_travel_to_a_worker_of_a_cluster(flow: Flow):
    assert cloudpickle.loads(cloudpickle.dumps(flow)).name == flow.name
