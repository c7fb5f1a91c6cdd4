"""The records as a state machine: whatever comes in whatever order, these promises hold."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import NotFound, Superseded
from core.settings import DatabaseSettings
from core.stages import Stage, stages_from
from core.values import SourceVersion, Ticket
from models import (
    LIVE_STATUSES,
    Rendition,
    Scene,
    StageRun,
    StageState,
    Video,
    VideoStatus,
    attempts,
    failing,
    inbox,
    ledger,
    publication,
    reconciling,
)
from models.session import transaction
from tests.integration.models.test_inbox import facts, made

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
OWNER = "local"


@dataclass
class Expected:
    """What a video must look like."""

    status: VideoStatus
    has_source: bool
    attempt: int = 0
    resumes: int = 0
    #: A rerun was asked for, and has not ended; its turn in a redrive has not come or not ended.
    rerun: bool = False
    in_line: bool = False
    #: How often a person wanted each stage redone.
    generations: dict[Stage, int] = field(default_factory=dict)
    #: Attempt whose results are visible.
    published_by: int | None = None
    sources: set[tuple[str, str]] = field(default_factory=set)


class Ledger(RuleBasedStateMachine):
    """Uploads, attempts and their ends, in any order, against one database."""

    database: DatabaseSettings
    videos: Bundle[UUID] = Bundle("videos")
    tickets: Bundle[Ticket] = Bundle("tickets")
    entries: Bundle[UUID] = Bundle("entries")

    def __init__(self) -> None:
        super().__init__()
        self.run = uuid4().hex
        self.expected: dict[UUID, Expected] = {}
        self.by_version: dict[tuple[str, str], UUID] = {}
        self.closed: dict[UUID, StageState] = {}

    def _source(self, key: str, etag: str) -> SourceVersion:
        return SourceVersion(bucket="uploads", key=f"{self.run}/{key}", etag=etag, last_modified=NOW, size_bytes=1)

    @rule(target=videos, key=st.sampled_from("ab"), etag=st.sampled_from("12"), times=st.integers(1, 3))
    def upload(self, key: str, etag: str, times: int) -> Any:
        for _ in range(times):
            with transaction(self.database) as session:
                video_id = inbox.record_source(session, self._source(key, etag), owner_id=OWNER).video_id
            known = self.by_version.setdefault((key, etag), video_id)
            assert known == video_id, "one source version is one video"
        if video_id in self.expected:
            return multiple()
        self.expected[video_id] = Expected(VideoStatus.VALIDATING, has_source=True)
        return video_id

    @rule(target=videos)
    def announce(self) -> UUID:
        with transaction(self.database) as session:
            video_id = inbox.announce(session, owner_id=OWNER, file_name="a.mp4").id
        self.expected[video_id] = Expected(VideoStatus.UPLOADING, has_source=False)
        return video_id

    @rule(target=videos, announced=videos, etag=st.sampled_from("12"))
    def upload_announced(self, announced: UUID, etag: str) -> Any:
        with transaction(self.database) as session:
            row = inbox.record_source(session, self._source(str(announced), etag), owner_id=OWNER, announced=announced)
        if row.video_id == announced and not self.expected[announced].has_source:
            assert self.expected[announced].status is VideoStatus.UPLOADING
            generations = self.expected[announced].generations
            self.expected[announced] = Expected(VideoStatus.VALIDATING, has_source=True, generations=generations)
        if row.video_id in self.expected:
            return multiple()
        self.expected[row.video_id] = Expected(VideoStatus.VALIDATING, has_source=True)
        return row.video_id

    @rule(target=tickets, video=videos)
    def begin(self, video: UUID) -> Any:
        expected = self.expected[video]
        if not expected.has_source:
            with pytest.raises(NotFound), transaction(self.database) as session:
                attempts.begin(session, video, None)
            return multiple()
        with transaction(self.database) as session:
            ticket = attempts.begin(session, video, None)
            ledger.close_abandoned(session, video, before_attempt=ticket.attempt)
        expected.attempt += 1
        if expected.status not in LIVE_STATUSES and not expected.rerun:
            expected.rerun, expected.resumes = True, 0
        assert ticket.attempt == expected.attempt
        if expected.status is not VideoStatus.INDEXED:
            expected.status = VideoStatus.VALIDATING
        return ticket

    def _write(self, ticket: Ticket, call: Any, *, allowed: tuple[VideoStatus, ...]) -> bool:
        """Make one guarded write; give whether it was let in, which must be as the model says."""
        expected = self.expected[ticket.video_id]
        may = ticket.attempt == expected.attempt and expected.status in allowed
        try:
            with transaction(self.database) as session:
                call(session)
        except Superseded:
            assert not may, "the newest attempt at a video that has not ended may write"
            return False
        assert may, f"an older attempt, or one at a video that is {expected.status}, changed something"
        return True

    @rule(ticket=tickets)
    def accept(self, ticket: Ticket) -> None:
        def call(session: Session) -> None:
            attempts.accept(session, ticket, "sha", 1, facts())

        if self._write(ticket, call, allowed=(*LIVE_STATUSES, VideoStatus.INDEXED)):
            expected = self.expected[ticket.video_id]
            if expected.status is not VideoStatus.INDEXED:
                expected.status = VideoStatus.PROCESSING

    @rule(ticket=tickets, times=st.integers(1, 2))
    def reject(self, ticket: Ticket, times: int) -> None:
        for _ in range(times):  # the acknowledgement of the first may have been lost

            def call(session: Session) -> None:
                attempts.reject(session, ticket, "damaged", "It is damaged.")

            allowed = (*LIVE_STATUSES, VideoStatus.INDEXED, VideoStatus.REJECTED)
            if self._write(ticket, call, allowed=allowed):
                expected = self.expected[ticket.video_id]
                if expected.status is not VideoStatus.REJECTED:
                    expected.rerun = expected.in_line = False
                if expected.status is not VideoStatus.INDEXED:
                    expected.status = VideoStatus.REJECTED

    @rule(ticket=tickets, times=st.integers(1, 2))
    def publish(self, ticket: Ticket, times: int) -> None:
        for _ in range(times):

            def call(session: Session) -> None:
                transcoded, *others = made(2)
                rendition = transcoded.renditions[0].model_copy(update={"fingerprint": f"attempt-{ticket.attempt}"})
                publication.publish(
                    session, ticket, transcoded.model_copy(update={"renditions": (rendition,)}), *others
                )

            if self._write(ticket, call, allowed=(*LIVE_STATUSES, VideoStatus.INDEXED)):
                expected = self.expected[ticket.video_id]
                expected.status, expected.published_by, expected.resumes = (
                    VideoStatus.INDEXED,
                    ticket.attempt,
                    0,
                )
                # What a person wants redone since the attempt began is yet to be redone.
                expected.rerun, expected.in_line = ticket.generations != expected.generations, False

    @rule(ticket=tickets, knows_attempt=st.booleans())
    def fail(self, ticket: Ticket, knows_attempt: bool) -> None:
        expected = self.expected[ticket.video_id]
        attempt = ticket.attempt if knows_attempt else None
        with transaction(self.database) as session:
            moved = attempts.fail(
                session, ticket.video_id, stage="shots", error_class="X", message="m", attempt=attempt
            )
        goes_on = expected.status in LIVE_STATUSES or expected.rerun
        assert moved == (goes_on and attempt in (None, expected.attempt))
        if moved:
            expected.rerun = expected.in_line = False
            if expected.status in LIVE_STATUSES:
                expected.status = VideoStatus.FAILED

    @rule(video=videos)
    def ask_for_a_rerun(self, video: UUID) -> None:
        expected = self.expected[video]
        assume(expected.has_source)
        with transaction(self.database) as session:
            attempts.ask(session.get_one(Video, video))
        expected.resumes = 0
        expected.rerun = expected.rerun or expected.status not in LIVE_STATUSES

    @rule(status=st.sampled_from([VideoStatus.FAILED, VideoStatus.REJECTED]))
    def redrive(self, status: VideoStatus) -> None:
        with transaction(self.database) as session:
            chosen = failing.select_for_rerun(session, status=status, owner_id=OWNER)
            failing.line_up(session, chosen, dt.timedelta())
        for video_id in set(chosen) & self.expected.keys():
            expected = self.expected[video_id]
            assert (expected.status, expected.rerun, expected.in_line) == (status, False, False)
            expected.in_line = True

    @rule(at_once=st.integers(1, 3))
    def take_turns(self, at_once: int) -> None:
        with transaction(self.database) as session:
            having = select(Video.id).where(Video.redrive_at.is_not(None), Video.rerun_at.is_not(None))
            strangers = set(session.scalars(having)) - self.expected.keys()  # of other examples
            turns = failing.take_turns(session, at_once + len(strangers))
        for video_id in set(turns) & self.expected.keys():
            expected = self.expected[video_id]
            assert (expected.rerun, expected.in_line) == (False, True)
            expected.rerun, expected.resumes = True, 0
        if turns:
            assert len([one for one in self.expected.values() if one.rerun and one.in_line]) <= at_once

    @rule(video=videos)
    def expire(self, video: UUID) -> None:
        """An announced upload that never came."""
        assume(self.expected[video].status is VideoStatus.UPLOADING)
        with transaction(self.database) as session:
            session.get_one(Video, video).created_at = NOW - dt.timedelta(days=3)
        with transaction(self.database) as session:
            assert reconciling.expire_uploads(session, NOW) >= 1
        self.expected[video].status = VideoStatus.REJECTED

    @rule(video=videos, seen=st.integers(0, 2))
    def resume_by_itself(self, video: UUID, seen: int) -> None:
        expected = self.expected[video]
        with transaction(self.database) as session:
            taken = reconciling.count_auto_resume(session, video, seen)
        goes_on = expected.status in LIVE_STATUSES or expected.rerun
        assert taken == (goes_on and seen == expected.resumes)
        expected.resumes += taken

    @rule(video=videos, stage=st.sampled_from(Stage))
    def rerun_from(self, video: UUID, stage: Stage) -> None:
        with transaction(self.database) as session:
            ledger.redo_from(session, video, stages_from(stage))
        for each in stages_from(stage):
            generations = self.expected[video].generations
            generations[each] = generations.get(each, 0) + 1

    @rule(target=entries, ticket=tickets, stage=st.sampled_from(Stage))
    def start_stage(self, ticket: Ticket, stage: Stage) -> UUID:
        with transaction(self.database) as session:
            return ledger.start(session, ticket, stage, "f", None)

    @rule(entry=entries, state=st.sampled_from([StageState.DONE, StageState.FAILED]))
    def end_stage(self, entry: UUID, state: StageState) -> None:
        with transaction(self.database) as session:
            if state is StageState.DONE:
                ledger.finish(session, entry)
            else:
                ledger.fail(session, entry, "X", "m")

    @invariant()
    def rows_are_as_expected(self) -> None:
        with transaction(self.database) as session:
            rows = {row.id: row for row in session.scalars(select(Video).where(Video.id.in_(self.expected)))}
            for video_id, expected in self.expected.items():
                row = rows[video_id]
                assert (row.status, row.attempt, row.auto_resumes) == (
                    expected.status,
                    expected.attempt,
                    expected.resumes,
                )
                assert (row.rerun_at is not None, row.redrive_at is not None) == (expected.rerun, expected.in_line)
                assert (row.error_class is not None) == (row.status is VideoStatus.FAILED)
                assert (row.reject_reason is not None) == (row.status is VideoStatus.REJECTED)

    @invariant()
    def what_is_visible_comes_from_one_publisher(self) -> None:
        with transaction(self.database) as session:
            visible = session.execute(
                select(Rendition.video_id, Rendition.fingerprint).where(Rendition.video_id.in_(self.expected))
            ).all()
            scenes = session.scalars(select(Scene.video_id).where(Scene.video_id.in_(self.expected))).all()
        for video_id, expected in self.expected.items():
            wanted = set() if expected.published_by is None else {f"attempt-{expected.published_by}"}
            assert {fingerprint for found, fingerprint in visible if found == video_id} == wanted
            assert scenes.count(video_id) == (0 if expected.published_by is None else 2)

    @invariant()
    def ended_stage_runs_stay_as_they_ended(self) -> None:
        with transaction(self.database) as session:
            runs = session.execute(
                select(StageRun.id, StageRun.state).where(StageRun.video_id.in_(self.expected))
            ).all()
        for run_id, state in runs:
            if state is not StageState.RUNNING:
                assert self.closed.setdefault(run_id, state) is state


def test_whatever_comes_in_whatever_order_the_promises_hold(database: DatabaseSettings):
    machine = type("LedgerOfThisTest", (Ledger,), {"database": database})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            database=None,
            print_blob=True,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
