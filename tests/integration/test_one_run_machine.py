"""One live run per video: deliveries, lost acknowledgements, reruns and lost runs in any order, on a real Prefect server."""

import datetime as dt
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, assume
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Crashed, Failed, Pending, Running

from core.settings import Settings
from core.values import SourceVersion
from dispatch.inbox import dispatch_waiting
from dispatch.rerun import rerun
from dispatch.runs import INGEST, prefect_client, request_run
from dispatch.settle import settle
from models import SourceObject, Video, attempts, inbox
from models.session import transaction
from models.states import Queue

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ENDS = {"completed": Completed, "failed": Failed, "crashed": Crashed}


@pytest.fixture(scope="module")
def api(prefect_api: str) -> Iterator[str]:
    """A server that knows the ingest deployments and has no worker: runs do what the test says."""
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        with prefect_client() as client:
            flow = client.create_flow_from_name(INGEST)
            for queue in Queue:
                client.create_deployment(flow_id=flow, name=str(queue), parameters={})
        yield prefect_api


class Runs(RuleBasedStateMachine):
    """Videos and their runs; what a worker would do to a run is a rule of its own."""

    known: Settings
    videos: Bundle[UUID] = Bundle("videos")

    def __init__(self) -> None:
        super().__init__()
        self.unique = uuid4().hex
        #: Each video's inbox row, whose id is in the idempotency key of all its runs.
        self.sources: dict[UUID, UUID] = {}

    @rule(target=videos, key=st.sampled_from("abc"), times=st.integers(1, 3))
    def deliver(self, key: str, times: int) -> Any:
        """One event, or the same one again."""
        source = SourceVersion(
            bucket="uploads", key=f"{self.unique}/{key}.mp4", etag="e", last_modified=NOW, size_bytes=1
        )
        for _ in range(times):
            with transaction(self.known.database) as session:
                row = inbox.record_source(session, source, owner_id="local")
                source_id, video_id = row.id, row.video_id
        if video_id in self.sources:
            return multiple()
        self.sources[video_id] = source_id
        return video_id

    @rule()
    def dispatch(self) -> None:
        dispatch_waiting(self.known)

    @rule(video=videos)
    def dispatch_and_die(self, video: UUID) -> None:
        """Prefect accepted the run, and nobody noted it."""
        request_run(self.sources[video], video, "a film")

    @rule(video=videos)
    def rerun(self, video: UUID) -> None:
        rerun(self.known, video)

    @rule(video=videos)
    def ask_and_die(self, video: UUID) -> None:
        """A rerun was written down, and Prefect was never told."""
        with transaction(self.known.database) as session:
            attempts.ask(session.get_one(Video, video))

    @rule()
    def settle(self) -> None:
        settle(self.known)

    @rule(video=videos)
    def take(self, video: UUID) -> None:
        """A worker takes the run, and its process begins an attempt."""
        run = self._run(video, final=False)
        assume(run is not None and run.state is not None and run.state.is_scheduled())
        assert run is not None
        with prefect_client() as client:
            client.set_flow_run_state(run.id, Pending())
            client.set_flow_run_state(run.id, Running())
        with transaction(self.known.database) as session:
            attempts.begin(session, video, run.id)

    @rule(video=videos, how=st.sampled_from(sorted(ENDS)), tells=st.booleans())
    def end(self, video: UUID, how: str, tells: bool) -> None:
        """The run ends; its process may have died before it told the database."""
        run = self._run(video, final=False)
        assume(run is not None and run.state is not None and run.state.is_running())
        assert run is not None
        with prefect_client() as client:
            client.set_flow_run_state(run.id, ENDS[how]())
        if tells and how == "failed":
            with transaction(self.known.database) as session:
                attempts.fail(session, video, stage="shots", error_class="X", message="m", attempt=None)

    @rule(video=videos)
    def lose(self, video: UUID) -> None:
        """Prefect loses the run, with its database or by somebody's hand."""
        run = self._run(video, final=None)
        assume(run is not None)
        assert run is not None
        with prefect_client() as client, suppress(ObjectNotFound):
            client.delete_flow_run(run.id)

    def _runs(self, video: UUID) -> list[FlowRun]:
        key = FlowRunFilterIdempotencyKey(any_=[f"upload:{self.sources[video]}"])
        with prefect_client() as client:
            return client.read_flow_runs(flow_run_filter=FlowRunFilter(idempotency_key=key))

    def _run(self, video: UUID, *, final: bool | None) -> FlowRun | None:
        found = [run for run in self._runs(video) if final is None or (run.state and run.state.is_final()) is final]
        return found[0] if found else None

    @invariant()
    def a_video_has_one_live_run_at_most(self) -> None:
        for video in self.sources:
            live = [run for run in self._runs(video) if not (run.state and run.state.is_final())]
            assert len(live) <= 1, [f"{run.id} {run.state_name}" for run in live]

    @invariant()
    def an_inbox_row_that_was_dispatched_names_a_run(self) -> None:
        with transaction(self.known.database) as session:
            for video, source in self.sources.items():
                if session.get_one(SourceObject, source).dispatched_at is not None:
                    assert session.get_one(Video, video).flow_run_id is not None


def test_a_video_never_has_two_live_runs(settings: Settings, api: str):
    machine = type("RunsOfThisTest", (Runs,), {"known": settings})
    run_state_machine_as_test(
        machine,
        settings=examples(
            max_examples=8,
            stateful_step_count=15,
            deadline=None,
            database=None,
            print_blob=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
