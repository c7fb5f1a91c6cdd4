"""What dead attempts left is swept; what anything still names is kept."""

import datetime as dt
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import select

from core.settings import Settings
from core.stages import Part, Stage
from core.values import SourceVersion, StoredFile, Ticket
from dispatch.leftovers import BATCH, sweep_leftovers
from models import Video, VideoStatus, attempts, inbox, publication
from models.session import transaction
from storage import keys
from storage.client import ObjectStore
from tasks import scratch
from tests.conftest import wait_for
from tests.integration.models.test_inbox import made

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def begun(settings: Settings, times: int) -> Ticket:
    source = SourceVersion(bucket="uploads", key=f"{uuid4()}.mp4", etag="e", last_modified=NOW, size_bytes=1)
    with transaction(settings.database) as session:
        video_id = inbox.record_source(session, source, owner_id="local").video_id
        return [attempts.begin(session, video_id, None) for _ in range(times)][-1]


def put(store: ObjectStore, video_id: UUID, attempt: int, name: str) -> StoredFile:
    return store.put_bytes(b"x", keys.derived(video_id, Stage.STILLS, "f" * 32, attempt, name), "image/jpeg")


def record(store: ObjectStore, video_id: UUID, *files: StoredFile) -> str:
    content = "[" + ",".join(file.model_dump_json() for file in files) + "]"
    return store.put_bytes(content.encode(), keys.manifest(video_id, Stage.STILLS, "f" * 32), "application/json").key


def test_files_that_no_record_and_no_row_names_are_swept(settings: Settings, store: ObjectStore):
    ticket = begun(settings, 3)
    dead, named, newest = (put(store, ticket.video_id, n, "poster.jpg") for n in (1, 2, 3))
    in_row = put(store, ticket.video_id, 1, "contact-sheet.jpg")
    kept = record(store, ticket.video_id, named)
    transcoded, detected, stills, spec, vectors = made(1)
    with transaction(settings.database) as session:
        sheet = stills.model_copy(update={"contact_sheet": in_row})
        publication.publish(session, ticket, transcoded, detected, sheet, spec, vectors)
    assert sweep_leftovers(settings).files == 1
    left = {item.key for item in store.list(settings.storage.derived_bucket)}
    assert left == {named.key, newest.key, in_row.key, kept}
    assert dead.key not in left
    assert sweep_leftovers(settings).files == 0


def test_pieces_of_chunks_outlive_their_video_only_until_the_next_sweep(settings: Settings, store: ObjectStore):
    ticket = begun(settings, 1)
    piece = store.put_bytes(b"x", keys.derived(ticket.video_id, Part.CHUNK, "c" * 32, 1, "360p.mp4"), "video/mp4")
    result = store.put_bytes(b"[]", keys.manifest(ticket.video_id, Part.CHUNK, "c" * 32), "application/json")
    kept = {piece.key, result.key}
    assert sweep_leftovers(settings).files == 0, "the video is at work: a resume needs them"
    with transaction(settings.database) as session:
        publication.publish(session, ticket, *made(1))
    newer = store.put_bytes(b"x", keys.derived(ticket.video_id, Part.CHUNK, "d" * 32, 2, "360p.mp4"), "video/mp4")
    assert kept < {item.key for item in store.list(settings.storage.derived_bucket)}
    assert sweep_leftovers(settings).files == 2
    assert {item.key for item in store.list(settings.storage.derived_bucket)} == {newer.key}
    assert sweep_leftovers(settings).files == 0


def test_chunks_of_an_indexed_video_that_is_rerun_stay_until_that_has_ended(settings: Settings, store: ObjectStore):
    ticket = begun(settings, 1)
    with transaction(settings.database) as session:
        publication.publish(session, ticket, *made(1))
    with transaction(settings.database) as session:
        again = attempts.begin(session, ticket.video_id, None)
    store.put_bytes(b"[]", keys.manifest(ticket.video_id, Part.CHUNK, "c" * 32), "application/json")
    assert sweep_leftovers(settings).files == 0
    with transaction(settings.database) as session:
        publication.publish(session, again, *made(1))
    assert sweep_leftovers(settings).files == 1


def test_a_video_that_has_not_ended_is_left_alone(settings: Settings, store: ObjectStore):
    ticket = begun(settings, 2)
    put(store, ticket.video_id, 1, "poster.jpg")
    assert sweep_leftovers(settings).files == 0
    with transaction(settings.database) as session:
        assert session.get_one(Video, ticket.video_id).status is VideoStatus.VALIDATING


def failed(settings: Settings, video_id: UUID) -> None:
    with transaction(settings.database) as session:
        assert attempts.fail(session, video_id, stage=None, error_class="X", message="m", attempt=None)


def days_pass(settings: Settings, days: int) -> None:
    with transaction(settings.database) as session:
        for video in session.scalars(select(Video)):
            video.updated_at -= dt.timedelta(days=days)
            video.swept_at = video.swept_at - dt.timedelta(days=days) if video.swept_at else None


def test_what_was_left_long_ago_is_swept_too_a_slice_at_a_time(settings: Settings, store: ObjectStore):
    for _ in range(BATCH + 2):
        video_id = begun(settings, 2).video_id
        put(store, video_id, 1, "poster.jpg")
        failed(settings, video_id)
    days_pass(settings, 40)
    assert [sweep_leftovers(settings).files for _ in range(3)] == [BATCH, 2, 0]
    assert list(store.list(settings.storage.derived_bucket)) == []


def test_what_a_process_writes_that_wakes_after_the_sweep_is_swept_a_day_later(settings: Settings, store: ObjectStore):
    video_id = begun(settings, 2).video_id
    failed(settings, video_id)
    assert sweep_leftovers(settings).files == 0
    put(store, video_id, 1, "poster.jpg")
    assert sweep_leftovers(settings).files == 0, "it was looked at a moment ago"
    days_pass(settings, 2)
    assert sweep_leftovers(settings).files == 1


def test_scratch_of_a_process_that_died_is_swept_and_that_of_a_living_one_is_not(settings: Settings):
    ticket = begun(settings, 1)
    own = scratch.folder(ticket)
    foreign = settings.scratch_dir / "00000000-0000-4000-8000-000000000000" / "1"
    hold = f"import sys; from pathlib import Path; from tasks.scratch import _hold; _hold(Path({str(foreign)!r}));"
    ready = Path(f"{foreign}.ready")
    other = subprocess.Popen(
        [sys.executable, "-c", f"{hold} Path({str(ready)!r}).touch(); sys.stdin.read()"], stdin=subprocess.PIPE
    )
    try:
        wait_for(ready.exists, "the other process holds its folder", 30)
        assert scratch.sweep() == 0
        other.kill()
        other.wait(10)
        ready.unlink()
        assert scratch.sweep() == 1
    finally:
        other.kill()
        other.communicate()
    assert own.is_dir()
    assert not foreign.parent.exists()
    scratch.clear(ticket)
    assert not own.exists()
    assert scratch.folder(ticket).is_dir(), "a later attempt of this process makes it again"
    scratch.clear(ticket)


def test_a_result_that_cannot_be_read_keeps_its_video_as_it_is_and_holds_up_no_other(
    settings: Settings, store: ObjectStore
):
    damaged, other = (begun(settings, 2) for _ in range(2))
    for ticket in (damaged, other):
        put(store, ticket.video_id, 1, "poster.jpg")
        with transaction(settings.database) as session:
            publication.publish(session, ticket, *made(1))
    store.put_bytes(b'{"half a rec', keys.manifest(damaged.video_id, Stage.STILLS, "f" * 32), "application/json")
    swept = sweep_leftovers(settings)
    assert (swept.files, swept.unreadable) == (1, 1)
    left = [item.key for item in store.list(settings.storage.derived_bucket) if keys.attempt_of(item.key)]
    assert [key.split("/")[0] for key in left] == [str(damaged.video_id)]
