"""An uploaded object becomes a video exactly once per source version."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from core.errors import NotFound, Superseded
from core.settings import DatabaseSettings
from core.stages import Stage
from core.values import (
    CutKind,
    DetectedShots,
    EncoderSpec,
    Film,
    MediaFacts,
    Proxy,
    Rendition,
    Scene,
    Shot,
    SourceVersion,
    Stills,
    StoredFile,
    Stream,
    Ticket,
    Transcoded,
)
from models import SourceObject, Video, VideoStatus, attempts, inbox, ledger, nearest, publication, reading, reconciling
from models.ledger import Share
from models.session import transaction
from models.summary import StageProgress, StageSummary, summarise

EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def make_source(**changes: Any) -> SourceVersion:
    return SourceVersion(
        **{"bucket": "uploads", "key": "a.mp4", "etag": "e1", "last_modified": EPOCH, "size_bytes": 10, **changes}
    )


def record(database: DatabaseSettings, source: SourceVersion | None = None, **options: Any) -> SourceObject:
    with transaction(database) as session:
        return inbox.record_source(session, source or make_source(), owner_id="local", **options)


def begun(database: DatabaseSettings) -> Ticket:
    row = record(database)
    with transaction(database) as session:
        return attempts.begin(session, row.video_id, None)


def count(database: DatabaseSettings, table: type) -> int:
    with transaction(database) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def status_of(database: DatabaseSettings, ticket: Ticket) -> VideoStatus:
    with transaction(database) as session:
        return session.get_one(Video, ticket.video_id).status


def test_ten_deliveries_at_once_make_one_row(database: DatabaseSettings):
    with ThreadPoolExecutor(10) as pool:
        rows = list(pool.map(lambda _: record(database), range(10)))
    assert len({row.id for row in rows}) == 1
    assert count(database, Video) == 1


@pytest.mark.parametrize(
    "change",
    [{"etag": "e2"}, {"last_modified": EPOCH + dt.timedelta(seconds=1)}, {"key": "b.mp4"}, {"version_id": "v2"}],
    ids=["other bytes", "same bytes put again", "other key", "other version id"],
)
def test_another_source_version_is_another_video(database: DatabaseSettings, change: dict[str, Any]):
    first, second = record(database), record(database, make_source(**change))
    assert first.video_id != second.video_id


def test_an_announced_upload_becomes_the_video_that_was_announced(database: DatabaseSettings):
    with transaction(database) as session:
        video = inbox.announce(session, owner_id="anna", file_name="Holiday_1.mp4", title=None)
    row = record(database, announced=video.id)
    assert row.video_id == video.id
    with transaction(database) as session:
        found = session.get_one(Video, video.id)
        assert (found.status, found.title, found.owner_id) == (VideoStatus.VALIDATING, "Holiday 1", "anna")


def test_overwriting_an_announced_upload_makes_a_second_video_with_its_title(database: DatabaseSettings):
    with transaction(database) as session:
        video = inbox.announce(session, owner_id="anna", file_name="a.mp4", title="Anna's film")
    record(database, announced=video.id)
    second = record(database, make_source(etag="e2"), announced=video.id)
    with transaction(database) as session:
        found = session.get_one(Video, second.video_id)
        assert found.id != video.id
        assert (found.title, found.owner_id) == ("Anna's film", "anna")


def test_a_row_waits_until_its_run_is_noted(database: DatabaseSettings):
    row = record(database)
    with transaction(database) as session:
        assert [waiting.id for waiting in inbox.waiting(session)] == [row.id]
        inbox.mark_dispatched(session, row.id, row.id)
    with transaction(database) as session:
        assert inbox.waiting(session) == []


def test_a_video_without_an_object_cannot_begin(database: DatabaseSettings):
    with transaction(database) as session:
        video = inbox.announce(session, owner_id="local", file_name="a.mp4")
    with pytest.raises(NotFound, match="nothing has been uploaded"), transaction(database) as session:
        attempts.begin(session, video.id, None)


def test_an_older_attempt_changes_nothing(database: DatabaseSettings):
    zombie = begun(database)
    with transaction(database) as session:
        attempts.begin(session, zombie.video_id, None)
    for write in (
        lambda session: attempts.reject(session, zombie, "empty", "."),
        lambda session: attempts.accept(session, zombie, "sha", 1, facts()),
        lambda session: publication.publish(session, zombie, *made(1)),
    ):
        with pytest.raises(Superseded), transaction(database) as session:
            write(session)
    with transaction(database) as session:
        assert not attempts.fail(
            session, zombie.video_id, stage=None, error_class="X", message="m", attempt=zombie.attempt
        )
    assert status_of(database, zombie) is VideoStatus.VALIDATING


def test_a_rerun_of_an_indexed_video_leaves_it_indexed_whatever_becomes_of_it(database: DatabaseSettings):
    ticket = begun(database)
    with transaction(database) as session:
        publication.publish(session, ticket, *made(2))
    with transaction(database) as session:
        again = attempts.begin(session, ticket.video_id, None)
    with transaction(database) as session:
        attempts.reject(session, again, "empty", ".")
        assert not attempts.fail(session, again.video_id, stage=None, error_class="X", message="m", attempt=None)
    assert status_of(database, ticket) is VideoStatus.INDEXED


def test_publishing_again_keeps_scene_ids_and_replaces_everything_else(database: DatabaseSettings):
    ticket = begun(database)
    with transaction(database) as session:
        publication.publish(session, ticket, *made(3))
    with transaction(database) as session:
        before = reading.video_with_parts(session, ticket.video_id)
    with transaction(database) as session:
        again = attempts.begin(session, ticket.video_id, None)
        publication.publish(session, again, *made(3))
    with transaction(database) as session:
        after = reading.video_with_parts(session, ticket.video_id)
    assert before is not None
    assert after is not None
    assert [scene.id for scene in before.scenes] == [scene.id for scene in after.scenes]
    assert len(after.renditions) == len(after.shots) - 2 == 1


def test_search_gives_the_nearest_scene_of_the_owner_first(database: DatabaseSettings):
    ticket = begun(database)
    with transaction(database) as session:
        publication.publish(session, ticket, *made(3))
    with transaction(database) as session:
        encoder = reading.active_encoder(session)
        assert encoder is not None
        hits = nearest.nearest(session, encoder, [0.0, 1.0, 0.0], owner_id="local", limit=2)
        assert next(float(hit.start_s) for hit in hits) == 1.0
        assert hits[0].score == pytest.approx(1.0, abs=1e-3)
        assert nearest.nearest(session, encoder, [0.0, 1.0, 0.0], owner_id="other", limit=2) == []


def test_the_ledger_sums_up_tries_reuse_and_abandoned_rows(database: DatabaseSettings):
    ticket = begun(database)
    with transaction(database) as session:
        first = ledger.start(session, ticket, Stage.VALIDATE, "fp", None)
        ledger.fail(session, first, "StorageUnavailable", "no answer")
        ledger.finish(session, ledger.start(session, ticket, Stage.VALIDATE, "fp", None))
        ledger.start(session, ticket, Stage.TRANSCODE, "fp", None)
        again = attempts.begin(session, ticket.video_id, None)
        assert ledger.close_abandoned(session, ticket.video_id, again.attempt) == 1
        ledger.reuse(session, again, Stage.VALIDATE, "fp", None)
    with transaction(database) as session:
        video = reading.video_with_parts(session, ticket.video_id)
        assert video is not None
        summary = {entry.stage: entry for entry in summarise(video.stage_runs)}
    assert (summary[Stage.VALIDATE].attempts, summary[Stage.VALIDATE].reused) == (2, True)
    assert (summary[Stage.TRANSCODE].attempts, summary[Stage.TRANSCODE].state) == (1, "failed")


def test_two_spaces_that_are_filled_for_a_video_at_a_time_leave_each_other_s_entries_alone(database: DatabaseSettings):
    ticket = begun(database)

    def begin(space: str) -> UUID:
        with transaction(database) as session:
            return ledger.start(session, ticket, Stage.EMBED, space, None)

    first, dead, second = begin("one"), begin("two"), begin("two")
    with transaction(database) as session:
        for entry in (first, dead, second):
            ledger.finish(session, entry)
        runs = reading.video_with_parts(session, ticket.video_id).stage_runs
    states = {run.id: (run.state, run.error_class) for run in runs}
    assert [states[entry] for entry in (first, dead, second)] == [
        ("done", None),
        ("failed", "Abandoned"),
        ("done", None),
    ]


def test_shares_of_a_stage_side_by_side_are_one_stage_until_the_last_has_ended(database: DatabaseSettings):
    ticket = begun(database)

    def told() -> StageSummary:
        with transaction(database) as session:
            runs = reading.video_with_parts(session, ticket.video_id).stage_runs
        [summary] = summarise(runs, Decimal(8))
        return summary

    def begin(share: Share | None) -> UUID:
        with transaction(database) as session:
            return ledger.start(session, ticket, Stage.TRANSCODE, "fp", None, share)

    def done(entry: UUID) -> None:
        with transaction(database) as session:
            ledger.finish(session, entry)

    first, second = begin(Share("chunk 0", Decimal(4))), begin(Share("chunk 1", Decimal(4)))
    with transaction(database) as session:
        ledger.advance(session, second, done_s=Decimal(2), fps=50.0, speed=2.0)
    done(first)
    halfway = told()
    assert (halfway.state, halfway.attempts, halfway.parts, halfway.parts_done) == ("running", 1, 2, 1)
    assert halfway.progress == StageProgress(percent=75.0, fps=50.0, speed=2.0, eta_s=1.0)
    again = begin(Share("chunk 1", Decimal(4)))  # a retry; its first try could not say that it ended
    done(again)
    assert told().state == "running", "what finishes the stage has not begun"
    done(begin(None))
    assert (told().state, told().attempts, told().progress) == ("done", 2, None)


def test_uploads_that_never_come_expire_and_others_do_not(database: DatabaseSettings):
    with transaction(database) as session:
        video = inbox.announce(session, owner_id="local", file_name="a.mp4")
    with transaction(database) as session:
        assert reconciling.expire_uploads(session, video.created_at) == 0
        assert reconciling.expire_uploads(session, video.created_at + dt.timedelta(seconds=1)) == 1
        assert session.get_one(Video, video.id).reject_reason == "upload_expired"


def facts() -> MediaFacts:
    return MediaFacts(container="mp4", duration_s="3", width=64, height=36, frame_rate="25", video_codec="h264")


def made(scenes: int) -> tuple[Transcoded, DetectedShots, Stills, EncoderSpec, list[list[float]]]:
    """Make the results of all stages for a video of this many one-second scenes."""
    file = StoredFile(key="k", size_bytes=1, etag="e")
    stream = {"file": file, "playlist": file, "average_bps": 1, "peak_bps": 2}
    rendition = Rendition(
        name="36p", width=64, height=36, fingerprint="r", codec="avc1.64001f", frame_rate="25", **stream
    )
    transcoded = Transcoded(
        fingerprint="t",
        duration_s=str(scenes),
        frames=25 * scenes,
        renditions=(rendition,),
        proxy=Proxy(width=64, height=36, fingerprint="p", file=file),
        sound=Stream(fingerprint="a", **stream),
        film=Film(fingerprint="f", file=file),
        master=file,
    )
    detected = DetectedShots(
        fingerprint="s",
        shots=tuple(Shot(start_s=str(n), end_s=str(n + 1), kind=CutKind.CUT) for n in range(scenes)),
        scenes=tuple(Scene(index=n, start_s=str(n), end_s=str(n + 1)) for n in range(scenes)),
    )
    vectors = [[float(n == axis) for axis in range(scenes)] for n in range(scenes)]
    spec = EncoderSpec(name="axes", revision="1", dim=scenes, preprocess="none")
    return transcoded, detected, Stills(fingerprint="st", posters=(None,) * scenes, contact_sheet=file), spec, vectors
