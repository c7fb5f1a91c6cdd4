"""A million videos with ten million scenes, made by SQL as years of uploads and backfills would leave them."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from core.settings import DatabaseSettings
from core.stages import Stage
from core.values import EncoderSpec
from models import recipes
from models.recipes import Column
from models.session import engine_for, transaction

OWNER: Final = "local"
BEGIN: Final = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
#: Between two uploads.
APART: Final = dt.timedelta(seconds=30)
SPECS: Final = [EncoderSpec(name=name, revision="1", dim=384, preprocess="none") for name in ("first", "second")]
SHOTS, SECOND = Column(Stage.SHOTS), Column(Stage.EMBED, 2)
#: Of a thousand videos, how many a backfill of shots, and one that fills the second space, have not come to.
STALE, UNFILLED = 300, 500
#: Of a million, whose newest try failed: of the first column fewer than one page, the worst that a page can look for.
FAILED: Final = {SHOTS: 80, SECOND: 10_000}
#: Backfills write rows anew, in an order that has nothing to do with that of the uploads: so many rounds.
ROUNDS: Final = 10

VIDEOS = """
INSERT INTO video (id, owner_id, title, file_name, duration_s, status, reject_reason, reject_sentence, error_stage,
                   error_class, error_message, error_fingerprint, attempt, created_at, updated_at, indexed_at)
SELECT gen_random_uuid(), :owner, 'film ' || n, 'film.mp4', 60, status,
       CASE WHEN status = 'rejected' THEN 'damaged' END, CASE WHEN status = 'rejected' THEN 'It is damaged.' END,
       CASE WHEN status = 'failed' THEN 'transcode' END, CASE WHEN status = 'failed' THEN 'EncoderFailed' END,
       CASE WHEN status = 'failed' THEN 'It failed.' END, CASE WHEN status = 'failed' THEN 'f' || n % 50 END,
       1, at, at, CASE WHEN status = 'indexed' THEN at END
FROM (
    SELECT n, CAST(:begin AS timestamptz) + n * CAST(:apart AS interval) AS at,
           CASE WHEN n % 100 < 95 THEN 'indexed' WHEN n % 100 < 98 THEN 'rejected'
                WHEN n % 100 < 99 OR n % 1000 < 995 THEN 'failed' ELSE 'processing' END AS status
    FROM generate_series(1, :videos) AS n
) AS made
"""
SOURCES = """
INSERT INTO source_object (id, video_id, bucket, key, version, size_bytes, etag, last_modified, seen_at, dispatched_at, queue)
SELECT gen_random_uuid(), id, 'uploads', id || '.mp4', md5(id::text), 1000000, md5(id::text), created_at, created_at, created_at, 'uploads'
FROM video
"""
SCENES = """
INSERT INTO scene (id, video_id, owner_id, index, start_s, end_s)
SELECT gen_random_uuid(), id, owner_id, n, n * 6, n * 6 + 6
FROM video CROSS JOIN generate_series(0, :scenes - 1) AS n WHERE status = 'indexed'
"""
LEDGER = """
INSERT INTO stage_run (id, video_id, stage, fingerprint, attempt, state, started_at, ended_at)
SELECT gen_random_uuid(), id, stage, md5(id::text), 1, 'done', created_at, created_at + interval '2 seconds'
FROM video CROSS JOIN unnest(ARRAY['validate', 'transcode', 'shots', 'stills', 'embed', 'publish']) AS stage
WHERE status = 'indexed'
"""
# All columns of a video at once, and videos about as they came: a day's uploads end in any order.
PUBLISHED = """
INSERT INTO video_stage (video_id, stage, encoder_id, recipe_id, owner_id, video_at)
SELECT video.id, recipe.stage, recipe.encoder_id, recipe.id, video.owner_id, video.created_at
FROM (SELECT *, created_at + random() * interval '1 day' AS ended FROM video WHERE status = 'indexed') AS video
CROSS JOIN recipe WHERE recipe.id = ANY(:first) ORDER BY ended, video.id
"""
# As recipes.add_missing does it: in the order of ids, which is none.
ADDED = """
INSERT INTO video_stage (video_id, stage, encoder_id, recipe_id, owner_id, video_at)
SELECT video.id, recipe.stage, recipe.encoder_id, recipe.id, video.owner_id, video.created_at
FROM video CROSS JOIN recipe WHERE recipe.id = :recipe AND video.status = 'indexed' ORDER BY video.id
"""
FILLED = """
UPDATE video_stage SET recipe_id = :new
WHERE recipe_id = :old AND abs(hashtext(video_id::text)) % 1000 >= :kept AND abs(hashtext('r' || video_id)) % :rounds = :round
"""
BROKEN = "UPDATE video_stage SET failed = true WHERE recipe_id = :recipe AND abs(hashtext('f' || video_id)) % 1000000 < :failed"
FOREIGN = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
       format('ALTER TABLE %s ADD CONSTRAINT %I %s NOT VALID', conrelid::regclass, conname, pg_get_constraintdef(oid))
FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text IN ('source_object', 'scene', 'stage_run', 'video_stage')
"""


@contextmanager
def without_foreign_keys(settings: DatabaseSettings) -> Iterator[None]:
    """Leave them out for a while: they look up a video for each of thirty million rows, and there is one."""
    with transaction(settings) as session:
        found = session.execute(text(FOREIGN)).all()
        for drop, _ in found:
            session.execute(text(drop))
    yield
    with transaction(settings) as session:
        for _, add in found:
            session.execute(text(add))


def fill(settings: DatabaseSettings, videos: int, scenes: int, today: dict[Column, str]) -> None:
    """Make the rows; every statement commits, and the tables are vacuumed and analysed in the end."""
    with without_foreign_keys(settings):
        _make(settings, videos, scenes, today)
    with engine_for(settings).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def _make(settings: DatabaseSettings, videos: int, scenes: int, today: dict[Column, str]) -> None:
    values = {"videos": videos, "owner": OWNER, "begin": BEGIN, "apart": APART}
    with transaction(settings) as session:
        session.execute(text(VIDEOS), values)
        newest = {column: recipes.recipe_id(session, column, name) for column, name in today.items()}
        before = {
            SHOTS: recipes.recipe_id(session, SHOTS, "older"),
            SECOND: recipes.recipe_id(session, SECOND, recipes.NEVER),
        }
    with transaction(settings) as session:
        first = [before.get(column, newest[column]) for column in today if column != SECOND]
        session.execute(text(PUBLISHED), {"first": first})
    with transaction(settings) as session:
        session.execute(text(ADDED), {"recipe": before[SECOND]})
    for column, kept in ((SHOTS, STALE), (SECOND, UNFILLED)):
        for number in range(ROUNDS):
            change = {"new": newest[column], "old": before[column], "kept": kept, "rounds": ROUNDS, "round": number}
            with transaction(settings) as session:
                session.execute(text(FILLED), change)
    with transaction(settings) as session:
        _break(session, newest)
    for statement in (SOURCES, SCENES, LEDGER):
        with transaction(settings) as session:
            session.execute(text(statement), {"scenes": scenes} if "scenes" in statement else {})


def _break(session: Session, newest: dict[Column, int]) -> None:
    for column, failed in FAILED.items():
        session.execute(text(BROKEN), {"recipe": newest[column], "failed": failed})
