"""Reconcile sets right what was lost, against a real database and a real object store; here Prefect is down."""

import datetime as dt
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from sqlalchemy import select, text, update

from core.settings import Settings
from dispatch.lost import MAX_WAITING_BACKFILL, adopt_older, find_lost
from dispatch.reconcile import LOCK, UPLOAD_PATIENCE, Recovered, reconcile
from models import Counter, Installation, Queue, SourceObject, Video, VideoStatus, inbox
from models.session import transaction
from models.session_lock import SessionLock
from storage import keys
from storage.client import ObjectStore
from tests.conftest import wait_for

DAY = dt.timedelta(days=1)
BROKEN = """
CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a bug'; END $$;
CREATE TRIGGER broken BEFORE UPDATE ON video FOR EACH ROW EXECUTE FUNCTION broken();
"""


@pytest.fixture(autouse=True)
def _prefect_is_down() -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        yield


def put(settings: Settings, store: ObjectStore, key: str, content: bytes = b"a film") -> None:
    store.put_bytes(content, key, "video/mp4", bucket=settings.storage.uploads_bucket)


def installed(settings: Settings, at: dt.datetime, *, adopted: bool = False) -> None:
    with transaction(settings.database) as session:
        values = {"installed_at": at, "adopted_at": at if adopted else None}
        session.execute(update(Installation).values(values))


def reconciled(settings: Settings) -> Recovered:
    result = reconcile(settings)
    assert result is not None
    return result


def counters(settings: Settings) -> dict[str, int]:
    with transaction(settings.database) as session:
        return {row.name: row.value for row in session.scalars(select(Counter))}


def inbox_rows(settings: Settings) -> list[SourceObject]:
    with transaction(settings.database) as session:
        return list(session.scalars(select(SourceObject).order_by(SourceObject.seen_at)))


def announced(settings: Settings, age: dt.timedelta) -> UUID:
    with transaction(settings.database) as session:
        video = inbox.announce(session, owner_id="local", file_name="a.mp4")
        video.created_at = dt.datetime.now(dt.UTC) - age
        return video.id


def status(settings: Settings, video_id: UUID) -> VideoStatus:
    with transaction(settings.database) as session:
        return session.get_one(Video, video_id).status


def test_a_bug_in_one_step_does_not_keep_the_others_from_their_work(
    settings: Settings, store: ObjectStore, caplog: pytest.LogCaptureFixture
):
    """Here the database refuses the step that expires an upload which never came."""
    announced(settings, UPLOAD_PATIENCE + 2 * DAY)
    put(settings, store, "lost.mp4")
    with transaction(settings.database) as session:
        session.execute(text(BROKEN))
    result = reconciled(settings)
    assert (result.unannounced, result.expired) == (1, 0)
    assert any("expire: " in problem and "a bug" in problem for problem in result.problems), result.problems
    caplog.clear()  # it was told as an error, as a bug is


def test_objects_whose_webhook_was_lost_are_found_and_counted_once(settings: Settings, store: ObjectStore):
    for name in ("a.mp4", "folder/b.mp4", "with space ü.mp4"):
        put(settings, store, name)
    assert reconciled(settings).unannounced == 3
    assert [(row.key, row.queue) for row in inbox_rows(settings)] == [
        ("a.mp4", Queue.UPLOADS),
        ("folder/b.mp4", Queue.UPLOADS),
        ("with space ü.mp4", Queue.UPLOADS),
    ]
    assert reconciled(settings).unannounced == 0
    assert counters(settings)["recovered_unannounced"] == 3
    put(settings, store, "c.mp4")
    reconciled(settings)
    assert counters(settings)["recovered_unannounced"] == 4


def test_an_announced_upload_whose_webhook_was_lost_becomes_the_video_that_was_announced(
    settings: Settings, store: ObjectStore
):
    # Announced long ago and uploaded at the last moment: it is found before it could expire.
    video_id = announced(settings, age=3 * DAY)
    put(settings, store, keys.upload(video_id, "a.mp4"))
    assert reconciled(settings).expired == 0
    assert status(settings, video_id) is VideoStatus.VALIDATING


def test_older_objects_are_only_counted_until_a_person_adopts_them(settings: Settings, store: ObjectStore):
    installed(settings, dt.datetime.now(dt.UTC) + DAY)
    for number in range(3):
        put(settings, store, f"{number}.mp4")
    first = reconciled(settings)
    assert (first.unannounced, first.adopted, first.older_objects) == (0, 0, 3)
    assert inbox_rows(settings) == []
    installed(settings, dt.datetime.now(dt.UTC) + DAY, adopted=True)
    second = reconciled(settings)
    assert (second.unannounced, second.adopted, second.older_objects) == (0, 3, 0)
    assert {row.queue for row in inbox_rows(settings)} == {Queue.BACKFILL}


def test_adopted_objects_come_in_only_as_others_are_done(settings: Settings, store: ObjectStore):
    installed(settings, dt.datetime.now(dt.UTC) + DAY, adopted=True)
    with transaction(settings.database) as session:
        session.add_all(
            Video(
                id=uuid4(),
                owner_id="local",
                title=str(number),
                status=VideoStatus.PROCESSING,
                source=SourceObject(
                    id=uuid4(),
                    bucket="elsewhere",
                    key=f"{number}.mp4",
                    version="1",
                    etag="e",
                    last_modified=dt.datetime.now(dt.UTC),
                    size_bytes=1,
                    queue=Queue.BACKFILL,
                ),
            )
            for number in range(MAX_WAITING_BACKFILL - 1)
        )
    for number in range(3):
        put(settings, store, f"{number}.mp4")
    first = reconciled(settings)
    assert (first.adopted, first.older_objects) == (1, 2)
    with transaction(settings.database) as session:
        done = session.scalar(select(Video).where(Video.status == VideoStatus.PROCESSING).limit(1))
        assert done is not None
        done.status, done.reject_reason = VideoStatus.REJECTED, "empty"
    second = reconciled(settings)
    assert (second.adopted, second.older_objects) == (1, 1)


def test_a_new_version_of_a_known_key_is_found(settings: Settings, store: ObjectStore):
    put(settings, store, "a.mp4", b"first")
    reconciled(settings)
    put(settings, store, "a.mp4", b"second")
    assert reconciled(settings).unannounced == 1
    first, second = inbox_rows(settings)
    assert first.key == second.key
    assert first.video_id != second.video_id


def test_the_same_bytes_put_again_later_are_found(settings: Settings, store: ObjectStore):
    put(settings, store, "a.mp4")
    reconciled(settings)
    before = inbox_rows(settings)[0].last_modified.replace(microsecond=0)
    wait_for(lambda: dt.datetime.now(dt.UTC).replace(microsecond=0) > before, "another second of the clock", 3)
    put(settings, store, "a.mp4")
    assert reconciled(settings).unannounced == 1
    assert len({row.etag for row in inbox_rows(settings)}) == 1


def test_uploads_that_never_came_expire(settings: Settings):
    patience = settings.storage.upload_url_life + UPLOAD_PATIENCE
    late = announced(settings, age=patience + dt.timedelta(minutes=1))
    early = announced(settings, age=patience - dt.timedelta(minutes=1))
    assert reconciled(settings).expired == 1
    with transaction(settings.database) as session:
        expired = session.get_one(Video, late)
        assert (expired.status, expired.reject_reason) == (VideoStatus.REJECTED, "upload_expired")
        assert expired.reject_sentence
    assert status(settings, early) is VideoStatus.UPLOADING
    assert counters(settings)["recovered_expired"] == 1


def test_an_object_that_comes_after_its_announcement_expired_is_not_lost(settings: Settings, store: ObjectStore):
    video_id = announced(settings, age=3 * DAY)
    reconciled(settings)
    put(settings, store, keys.upload(video_id, "a.mp4"))
    assert reconciled(settings).unannounced == 1
    assert inbox_rows(settings)[0].video_id != video_id


def test_multipart_uploads_that_were_never_finished_are_aborted(settings: Settings, store: ObjectStore):
    bucket = settings.storage.uploads_bucket
    store._client._create_multipart_upload(bucket, "half.mp4", {})
    assert reconciled(settings).aborted_multiparts == 0, "it may still be finished"
    # A life that ended a day ago, so that what was begun now is stale now.
    storage = settings.storage.model_copy(update={"upload_url_life": -UPLOAD_PATIENCE - DAY})
    assert reconciled(settings.model_copy(update={"storage": storage})).aborted_multiparts == 1
    assert list(store._client._list_multipart_uploads(bucket).uploads) == []


def test_of_two_reconciles_at_once_one_works(settings: Settings, store: ObjectStore):
    put(settings, store, "a.mp4")
    with SessionLock(settings.database, LOCK) as lock:
        assert lock.held()
        assert reconcile(settings) is None
    assert inbox_rows(settings) == []
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: reconcile(settings), range(2)))
    assert sum(result.unannounced for result in results if result) == 1
    assert len(inbox_rows(settings)) == 1


def test_a_pass_holds_no_transaction_while_it_works(
    settings: Settings, store: ObjectStore, idle_during: Callable[[str], list[int]]
):
    put(settings, store, "a.mp4")
    found = idle_during("dispatch.reconcile.find_lost")
    assert reconciled(settings).unannounced == 1
    assert found == [0]


def test_without_prefect_everything_else_is_done_and_the_row_waits(settings: Settings, store: ObjectStore):
    put(settings, store, "a.mp4")
    late = announced(settings, age=3 * DAY)
    result = reconciled(settings)
    assert (result.unannounced, result.expired, result.dispatched) == (1, 1, 0)
    assert "Prefect" in " ".join(result.problems)
    assert [row.dispatched_at for row in inbox_rows(settings)] == [None]
    assert status(settings, late) is VideoStatus.REJECTED


def test_without_the_object_store_uploads_expire_all_the_same(settings: Settings):
    late = announced(settings, age=3 * DAY)
    storage = settings.storage.model_copy(update={"endpoint": "127.0.0.1:9"})
    result = reconciled(settings.model_copy(update={"storage": storage}))
    assert len(result.problems) >= 2
    assert status(settings, late) is VideoStatus.REJECTED


def test_older_objects_are_counted_first_and_come_in_once_a_person_says_so(settings: Settings, store: ObjectStore):
    installed(settings, dt.datetime.now(dt.UTC) + DAY)
    store.put_bytes(b"film", "older.mp4", "video/mp4", bucket="uploads")
    assert adopt_older(settings, dry_run=True) == 1
    assert find_lost(settings).adopted == 0
    assert adopt_older(settings, dry_run=False) == 1
    assert find_lost(settings).adopted == 1
    assert adopt_older(settings, dry_run=True) == 0
