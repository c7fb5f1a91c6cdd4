"""`dailies deploy` on a bare Prefect server; and the vacuum of its old runs."""

import datetime as dt
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Crashed, Failed, Pending

from core.errors import NotFound
from core.fingerprint import Recipes
from core.settings import Settings
from core.stages import Stage
from core.values import SourceVersion
from deployments.automations import notification_block
from deployments.described import deployments
from deployments.pool import SYSTEM_AT_ONCE
from dispatch.runs import prefect_client
from dispatch.vacuum import vacuum
from models import Video, VideoStatus, attempts, inbox, recipes
from models.session import transaction
from models.video_stage import NO_ENCODER
from tests.conftest import wait_for
from tests.integration.prefect_server import bare_server, deploy, run


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="dailies-test-", ignore_cleanup_errors=True) as folder,
        bare_server(Path(folder)) as api,
    ):
        yield api


def deployed(api: str) -> dict[str, dict[str, Any]]:
    flows = {flow["id"]: flow["name"] for flow in httpx.post(f"{api}/flows/filter", json={}).json()}
    found = httpx.post(f"{api}/deployments/filter", json={}).json()
    return {f"{flows[one['flow_id']]}/{one['name']}": one for one in found}


def queues(api: str) -> dict[str, int | None]:
    found = httpx.post(f"{api}/work_pools/dailies/queues/filter", json={}).json()
    return {one["name"]: one["concurrency_limit"] for one in found}


def test_a_bare_server_gets_everything_and_a_second_time_changes_nothing(server: str):
    first = deploy(server)
    assert set(first.values()) == {"made"}
    made = deployed(server)
    assert len(made) == len(deployments())
    for one in made.values():
        assert (one["work_pool_name"], one["enforce_parameter_schema"], one["pull_steps"]) == ("dailies", True, [])
        assert one["version"]
        assert one["parameter_openapi_schema"]["type"] == "object"
    form = made["redrive/by-hand"]["parameter_openapi_schema"]["properties"]
    assert form["status"]["enum"] == ["failed", "rejected"]
    assert form["dry_run"]["default"] is True
    (nightly,) = made["vacuum/nightly"]["schedules"]
    assert (nightly["parameters"], nightly["active"]) == ({"dry_run": False}, True)
    assert queues(server).items() >= {"uploads": 4, "backfill": 1, "system": SYSTEM_AT_ONCE}.items()

    second = deploy(server)
    assert first.keys() == second.keys()
    assert set(second.values()) == {"unchanged"}
    assert {name: one["updated"] for name, one in deployed(server).items()} == {
        name: one["updated"] for name, one in made.items()
    }


@pytest.mark.long
def test_what_a_person_changed_is_mended_and_a_schedule_that_one_paused_stays_paused(server: str):
    deploy(server)
    before = deployed(server)["vacuum/nightly"]
    (nightly,) = before["schedules"]
    httpx.patch(
        f"{server}/deployments/{before['id']}/schedules/{nightly['id']}", json={"active": False}
    ).raise_for_status()
    httpx.patch(f"{server}/deployments/{before['id']}", json={"description": "?"}).raise_for_status()
    outcomes = deploy(server, DAILIES_WORKFLOW__BACKFILLS_AT_ONCE="3", DAILIES_WORKFLOW__GPU_AT_ONCE="2")
    after = deployed(server)
    assert outcomes["deployment", "vacuum/nightly"] == "changed"
    assert after["vacuum/nightly"]["description"] != "?"
    assert [one["active"] for one in after["vacuum/nightly"]["schedules"]] == [False]
    assert queues(server).items() >= {"backfill": 3, "gpu": 2}.items()
    assert after["embed-video/backfill"]["work_queue_name"] == "gpu"


@pytest.mark.long
def test_prefects_own_deploy_takes_the_same_file_once_the_pool_is_there(server: str):
    deploy(server)
    wanted = deployed(server)
    run(server, "prefect", "--no-prompt", "deploy", "--all")
    found = deployed(server)
    assert found.keys() == wanted.keys()
    compared = ("version", "description", "tags", "entrypoint", "work_queue_name", "job_variables", "parameters")
    for name, one in wanted.items():
        assert [found[name][key] for key in compared] == [one[key] for key in compared], name
        assert found[name]["pull_steps"] in ([], None)
        assert [each["slug"] for each in found[name]["schedules"]] == [each["slug"] for each in one["schedules"]]


def test_what_names_no_block_is_not_told_because_it_may_hold_a_token(server: str):
    with temporary_settings({PREFECT_API_URL: server}), prefect_client() as client, pytest.raises(NotFound) as refused:
        notification_block(client, "hooks.example/services/s3cret")
    assert "DAILIES_WORKFLOW__NOTIFY" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_the_server_makes_runs_of_every_schedule(server: str):
    deploy(server)

    def scheduled() -> bool:
        runs = httpx.post(f"{server}/flow_runs/filter", json={"limit": 200}).json()
        having = {run["deployment_id"] for run in runs if run["auto_scheduled"]}
        return having == {one["id"] for one in deployed(server).values() if one["schedules"]}

    wait_for(scheduled, "the scheduler has made runs ahead", 100)


def a_video(settings: Settings, *, is_indexed: bool) -> UUID:
    now = dt.datetime.now(dt.UTC)
    source = SourceVersion(bucket="uploads", key=f"{uuid4()}.mp4", etag="e", last_modified=now, size_bytes=1)
    with transaction(settings.database) as session:
        video_id = inbox.record_source(session, source, owner_id="local").video_id
        attempts.begin(session, video_id, None)
        if is_indexed:
            video = session.get_one(Video, video_id)
            video.status, video.indexed_at, video.rerun_at = VideoStatus.INDEXED, now, None
        else:
            attempts.fail(session, video_id, stage=Stage.SHOTS, error_class="E", message="m", attempt=None)
    return video_id


def a_run(client: SyncPrefectClient, name: str, video_id: UUID | None, state: State[Any]) -> UUID:
    found = client.read_deployment_by_name(name)
    run_id = client.create_flow_run_from_deployment(
        found.id, parameters={"video_id": str(video_id)} if video_id else {}
    ).id
    client.set_flow_run_state(run_id, state, force=True)
    return run_id


def test_a_vacuum_removes_old_runs_and_never_one_that_may_be_resumed(server: str, settings: Settings):
    deploy(server)
    indexed, rerun, behind = (a_video(settings, is_indexed=True) for _ in range(3))
    failed = a_video(settings, is_indexed=False)
    with temporary_settings({PREFECT_API_URL: server}), prefect_client() as client:
        needed = {
            a_run(client, "ingest-video/uploads", failed, Crashed()),
            a_run(client, "ingest-video/uploads", failed, Failed()),
            a_run(client, "ingest-video/uploads", rerun, Completed()),
            a_run(client, "ingest-video/backfill", behind, Failed()),
            a_run(client, "ingest-video/uploads", indexed, Pending()),
        }
        old = {
            a_run(client, "ingest-video/uploads", indexed, Failed()),
            a_run(client, "ingest-video/uploads", indexed, Completed()),
            a_run(client, "reconcile/scheduled", None, Completed()),
            a_run(client, "ingest-video/backfill", uuid4(), Completed(name="Rejected")),
        }
        with transaction(settings.database) as session:
            session.get_one(Video, rerun).rerun_at = dt.datetime.now(dt.UTC)
            recipes.record(session, behind, recipes.columns(session, Recipes(settings)))
            recipes.note_failure(session, behind, Stage.SHOTS, NO_ENCODER)

        def run_ids() -> set[UUID]:
            return {run.id for run in client.read_flow_runs(limit=200)} & (needed | old)

        wanted = {"keep": dt.timedelta(0), "per_minute": 6000}
        counted = vacuum(settings, **wanted, at_most=100, dry_run=True)
        assert (counted.removed, counted.kept, counted.more) == (4, 4, False)
        assert run_ids() == needed | old
        first = vacuum(settings, **wanted, at_most=1, dry_run=False)
        assert (first.removed, first.more) == (1, True)
        rest = vacuum(settings, **wanted, at_most=None, dry_run=False)
        assert (rest.removed, rest.kept, rest.more) == (3, 4, False)
        assert run_ids() == needed
        assert vacuum(settings, **{**wanted, "keep": dt.timedelta(days=1)}, at_most=100, dry_run=False).removed == 0
