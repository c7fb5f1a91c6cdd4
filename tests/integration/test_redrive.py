"""Failed videos are grouped by what went wrong, chosen as a group and rerun, oldest first."""

import datetime as dt
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from core.settings import DatabaseSettings, Settings
from core.stages import Stage
from core.values import SourceVersion
from dispatch.redrive import redrive
from models import Video, VideoStatus, attempts, inbox
from models.failing import failure_groups
from models.session import transaction

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


def test_a_dry_run_names_the_group_oldest_first_and_changes_nothing(settings: Settings):
    wanted = [failed(settings.database, f"frame {n} is broken") for n in range(3)]
    failed(settings.database, "another thing")
    with transaction(settings.database) as session:
        group = failure_groups(session)[0]
    done = redrive(settings, fingerprint=group.fingerprint, per_minute=30, dry_run=True)
    assert done.video_ids == wanted
    assert (done.dry_run, done.spread_s, done.problems) == (True, 4.0, {})
    with transaction(settings.database) as session:
        assert session.get_one(Video, wanted[0]).status is VideoStatus.FAILED


def test_rejected_videos_are_chosen_by_status_and_never_with_failed_ones(settings: Settings):
    bad, broken = rejected(settings.database), failed(settings.database, "x")
    assert redrive(settings, status=VideoStatus.REJECTED, dry_run=True).video_ids == [bad]
    assert redrive(settings, dry_run=True).video_ids == [broken]


def test_videos_of_another_owner_are_left_alone(settings: Settings):
    failed(settings.database, "x", owner_id="anna")
    assert redrive(settings, dry_run=True).video_ids == []


def test_one_that_cannot_be_rerun_is_reported_and_waits_as_it_was(settings: Settings):
    videos = [failed(settings.database, "x") for _ in range(2)]
    done = redrive(settings)
    assert set(done.problems) == set(videos), "Prefect is down: each is tried, each is reported"
    with transaction(settings.database) as session:
        assert {session.get_one(Video, video).status for video in videos} == {VideoStatus.FAILED}
