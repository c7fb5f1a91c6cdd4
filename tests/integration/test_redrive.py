"""Failed videos are grouped by what went wrong, chosen as a group and rerun, oldest first."""

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.errors import WorkflowUnavailable
from core.settings import DatabaseSettings, Settings, WorkflowSettings
from core.stages import Stage
from core.values import SourceVersion, Ticket
from dispatch.redrive import MAX_NAMED, advance, redrive, turns_at_once
from models import SourceObject, Video, VideoStatus, attempts, failing, inbox, ledger
from models.failing import failure_groups
from models.reconciling import live_videos
from models.session import transaction
from tests.conftest import wait_for

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _prefect_is_down() -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        yield


def begun(database: DatabaseSettings, owner_id: str = "local") -> UUID:
    source = SourceVersion(bucket="uploads", key=f"{uuid4()}.mp4", etag="e", last_modified=NOW, size_bytes=1)
    with transaction(database) as session:
        video_id = inbox.record_source(session, source, owner_id=owner_id).video_id
        attempts.begin(session, video_id, None)
    return video_id


def failed(
    database: DatabaseSettings, message: str, *, stage: Stage = Stage.TRANSCODE, owner_id: str = "local"
) -> UUID:
    video_id = begun(database, owner_id)
    with transaction(database) as session:
        assert attempts.fail(
            session, video_id, stage=stage, error_class="EncoderRejected", message=message, attempt=None
        )
    return video_id


def rejected(database: DatabaseSettings) -> UUID:
    video_id = begun(database)
    with transaction(database) as session:
        ticket = attempts.begin(session, video_id, None)
        attempts.reject(session, ticket, "too_long", "Too long.")
    return video_id


def test_failures_that_differ_in_numbers_and_ids_only_are_one_group(settings: Settings):
    alike = [failed(settings.database, f"frame {n} of {uuid4()} is broken") for n in range(3)]
    other = failed(settings.database, "frame 1 is broken", stage=Stage.SHOTS)
    with transaction(settings.database) as session:
        groups = failure_groups(session, "local")
    assert [(group.count, group.stage) for group in groups] == [(3, "transcode"), (1, "shots")]
    assert groups[0].sample_video_id in alike
    assert groups[1].sample_video_id == other
    assert groups[0].first_seen <= groups[0].last_seen


def test_a_group_is_as_old_as_its_first_failure_and_its_sample_is_of_one_video(settings: Settings):
    """A rerun that fails of the same changes the video, not when the trouble began."""
    videos = [failed(settings.database, message) for message in ("frame 1 is broken", "frame 2 is broken")]
    for video_id in videos:
        note_in_ledger(settings.database, video_id, "frame 0 is broken")
    with transaction(settings.database) as session:
        rerun_at = session.scalars(select(func.clock_timestamp())).one()
        assert failure_groups(session)[0].first_seen < rerun_at
    for video_id in videos:
        with transaction(settings.database) as session:
            attempts.begin(session, video_id, None)
        with transaction(settings.database) as session:
            broke = {"stage": Stage.TRANSCODE, "error_class": "EncoderRejected", "message": "frame 9 is broken"}
            assert attempts.fail(session, video_id, **broke, attempt=None)
        note_in_ledger(settings.database, video_id, "frame 9 is broken")
    with transaction(settings.database) as session:
        group = failure_groups(session)[0]
        assert session.get_one(Video, group.sample_video_id).error_message == group.sample
    assert group.count == 2
    assert group.first_seen < rerun_at < group.last_seen


def note_in_ledger(database: DatabaseSettings, video_id: UUID, message: str) -> None:
    """Keep one failed execution of the transcode."""
    with transaction(database) as session:
        video = session.get_one(Video, video_id)
        source = SourceVersion(bucket="uploads", key="x.mp4", etag="e", last_modified=NOW, size_bytes=1)
        ticket = Ticket(video_id=video_id, owner_id="local", attempt=video.attempt, source=source)
        entry = ledger.start(session, ticket, Stage.TRANSCODE, "f" * 64, None)
        ledger.fail(session, entry, "EncoderRejected", message)


@pytest.mark.parametrize(("uploads", "backfills", "turns"), [(4, 1, 1), (4, 4, 3), (2, 8, 1), (1, 1, 1), (8, 2, 2)])
def test_a_redrive_leaves_a_slot_to_uploads(uploads, backfills, turns):
    assert turns_at_once(WorkflowSettings(uploads_at_once=uploads, backfills_at_once=backfills)) == turns


def test_a_dry_run_names_the_group_oldest_first_and_changes_nothing(settings: Settings):
    wanted = [failed(settings.database, f"frame {n} is broken") for n in range(3)]
    failed(settings.database, "another thing")
    with transaction(settings.database) as session:
        group = failure_groups(session)[0]
    done = redrive(settings, fingerprint=group.fingerprint, per_minute=30, dry_run=True)
    assert done.video_ids == wanted
    assert (done.dry_run, done.count, done.spread_s, done.waiting) == (True, 3, 4.0, 0)
    with transaction(settings.database) as session:
        assert session.get_one(Video, wanted[0]).status is VideoStatus.FAILED


def test_rejected_videos_are_chosen_by_status_and_never_with_failed_ones(settings: Settings):
    bad, broken = rejected(settings.database), failed(settings.database, "x")
    assert redrive(settings, status=VideoStatus.REJECTED, dry_run=True).video_ids == [bad]
    assert redrive(settings, dry_run=True).video_ids == [broken]


def test_videos_of_another_owner_are_left_alone(settings: Settings):
    failed(settings.database, "x", owner_id="anna")
    assert redrive(settings, dry_run=True).video_ids == []


def take_turns(database: DatabaseSettings, at_once: int) -> list[UUID]:
    with transaction(database) as session:
        return failing.take_turns(session, at_once)


def waiting(database: DatabaseSettings) -> int:
    with transaction(database) as session:
        return failing.failure_groups(session)[0].waiting


def test_a_group_stands_in_line_and_gets_its_turns_oldest_first_as_those_before_end(settings: Settings):
    videos = [failed(settings.database, "x") for _ in range(5)]
    done = redrive(settings, per_minute=600)
    assert (done.count, done.video_ids, done.waiting) == (5, videos, 5)
    assert done.spread_s <= 0.4
    wait_for(lambda: dt.datetime.now(dt.UTC) > last_turn(settings.database), "every turn's time has come", 5)
    assert take_turns(settings.database, 2) == videos[:2]
    assert take_turns(settings.database, 2) == [], "two at a time"
    with transaction(settings.database) as session:
        attempts.begin(session, videos[0], None)
    assert take_turns(settings.database, 2) == [], "it is at work"
    with transaction(settings.database) as session:
        assert attempts.fail(session, videos[0], stage=None, error_class="X", message="again", attempt=None)
    assert take_turns(settings.database, 2) == [videos[2]], "one that failed again does not stand in line again"
    assert waiting(settings.database) == 4


def last_turn(database: DatabaseSettings) -> dt.datetime:
    with transaction(database) as session:
        return session.scalars(select(func.max(Video.redrive_at))).one()


def test_pressing_twice_at_once_changes_nothing(settings: Settings):
    videos = [failed(settings.database, "x") for _ in range(4)]
    with ThreadPoolExecutor(2) as pool:
        presses = list(pool.map(lambda _: redrive(settings, per_minute=60), range(2)))
    assert sorted(press.count for press in presses) == [0, 4]
    assert redrive(settings, dry_run=True).count == 0
    with transaction(settings.database) as session:
        turns = list(session.scalars(select(Video.redrive_at).where(Video.id.in_(videos)).order_by(Video.redrive_at)))
    assert [round((turn - turns[0]).total_seconds()) for turn in turns] == [0, 1, 2, 3]


def test_a_later_group_stands_behind_those_who_wait(settings: Settings):
    failed(settings.database, "x")
    redrive(settings, per_minute=1)
    before = last_turn(settings.database)
    failed(settings.database, "y")
    redrive(settings, per_minute=1)
    assert last_turn(settings.database) - before == dt.timedelta(minutes=1)


def test_three_thousand_are_lined_up_in_one_request(settings: Settings):
    with transaction(settings.database) as session:
        session.add_all(
            Video(
                owner_id="local",
                title="t",
                status=VideoStatus.FAILED,
                error_class="X",
                source=SourceObject(
                    bucket="uploads", key=f"{n}.mp4", version="1", etag="e", last_modified=NOW, size_bytes=1
                ),
            )
            for n in range(3_000)
        )
    done = redrive(settings, per_minute=600)
    assert (done.count, len(done.video_ids), done.waiting) == (3_000, MAX_NAMED, 3_000)
    assert 280 <= done.spread_s <= 300
    with transaction(settings.database) as session:
        oldest = session.get_one(Video, done.video_ids[0])
        assert oldest.redrive_at == session.scalar(select(func.min(Video.redrive_at)))
        assert oldest.updated_at < oldest.redrive_at, "standing in line does not make a failure younger"


def test_while_prefect_is_down_a_turn_is_kept_and_what_was_asked_for_is_followed(settings: Settings):
    video = failed(settings.database, "x")
    with transaction(settings.database) as session:
        session.get_one(Video, video).flow_run_id = uuid4()
        inbox.mark_dispatched(session, inbox_row(session, video), uuid4())
    redrive(settings)
    with pytest.raises(WorkflowUnavailable):
        advance(settings)
    with transaction(settings.database) as session:
        assert session.get_one(Video, video).status is VideoStatus.FAILED
        assert [live.video_id for live in live_videos(session, None, 10)] == [video]


def inbox_row(session: Session, video: UUID) -> UUID:
    return session.scalars(select(SourceObject.id).where(SourceObject.video_id == video)).one()
