"""The records at scale: a million videos with ten million scenes, and what lists, counts and plans cost there.

    python -m benchmarks.scale [--videos 1000000] [--scenes 10] [--repeats 30]

Starts a Postgres of its own in a temporary folder and fills it by SQL, without vectors. Every question is asked through
the code that the service and the backfill flow use. Exits with 1 when one of them takes longer than it may.
"""

import argparse
import datetime as dt
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from core.fingerprint import Recipes
from core.settings import DatabaseSettings, Settings
from core.stages import Stage
from core.values import EncoderSpec
from deployments.embedded.postgres import embedded_postgres
from models import Video, VideoStatus, coverage, lacking, reading, recipes, spaces
from models.lacking import Lack, Order, Wanted
from models.measuring import count_videos, measure
from models.migrate import upgrade
from models.recipes import Column
from models.session import engine_for, transaction

#: What a question may take, ms, in 19 of 20 cases.
MUST_P95_MS: Final = 200.0
OWNER: Final = "local"
#: Share of the videos that are done by an older recipe of shots, and that lack the second space.
STALE, UNFILLED = 0.3, 0.5
SPECS: Final = [EncoderSpec(name=name, revision="1", dim=384, preprocess="none") for name in ("first", "second")]

VIDEOS = """
INSERT INTO video (id, owner_id, title, file_name, duration_s, status, reject_reason, reject_sentence, error_stage,
                   error_class, error_message, error_fingerprint, attempt, created_at, updated_at, indexed_at)
SELECT gen_random_uuid(), :owner, 'film ' || n, 'film.mp4', 60, status,
       CASE WHEN status = 'rejected' THEN 'damaged' END, CASE WHEN status = 'rejected' THEN 'It is damaged.' END,
       CASE WHEN status = 'failed' THEN 'transcode' END, CASE WHEN status = 'failed' THEN 'EncoderFailed' END,
       CASE WHEN status = 'failed' THEN 'It failed.' END, CASE WHEN status = 'failed' THEN 'f' || n % 50 END,
       1, at, at, CASE WHEN status = 'indexed' THEN at END
FROM (
    SELECT n, timestamptz '2025-01-01' + n * interval '30 seconds' AS at,
           CASE WHEN n % 100 < 95 THEN 'indexed' WHEN n % 100 < 98 THEN 'rejected'
                WHEN n % 100 < 99 OR n % 1000 < 995 THEN 'failed' ELSE 'processing' END AS status
    FROM generate_series(1, :videos) AS n
) AS made
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
STAGES = """
INSERT INTO video_stage (video_id, stage, encoder_id, recipe_id, owner_id, video_at)
SELECT id, CAST(:stage AS text), :encoder,
       CASE WHEN abs(hashtext(id::text) % 1000) < :older THEN :old ELSE :new END, owner_id, created_at
FROM video WHERE status = 'indexed'
"""


def fill(settings: DatabaseSettings, videos: int, scenes: int, today: dict[Column, str]) -> None:
    """Make the rows; every statement commits, and the tables are analysed in the end."""
    with transaction(settings) as session:
        session.execute(text(VIDEOS), {"videos": videos, "owner": OWNER})
        for column, name in today.items():
            old_name = recipes.NEVER if column.encoder_id == 2 else "older"
            old, new = recipes.recipe_id(session, column, old_name), recipes.recipe_id(session, column, name)
            older = UNFILLED if column.encoder_id == 2 else STALE if column.stage is Stage.SHOTS else 0.0
            values = {
                "stage": column.stage,
                "encoder": column.encoder_id,
                "older": round(1000 * older),
                "old": old,
                "new": new,
            }
            session.execute(text(STAGES), values)
    for statement in (SCENES, LEDGER):
        with transaction(settings) as session:
            session.execute(text(statement), {"scenes": scenes} if "scenes" in statement else {})
    with engine_for(settings).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def questions(settings: Settings, today: dict[Column, str]) -> dict[str, Callable[[Session], object]]:
    """Give what is asked, by name."""
    chance = random.Random(1)
    shots, second = Column(Stage.SHOTS), Column(Stage.EMBED, 2)

    with transaction(settings.database) as session:
        some = session.scalars(select(Video.id).where(Video.status == VideoStatus.INDEXED).limit(1000)).all()

    def newest(status: VideoStatus | None) -> Callable[[Session], object]:
        return lambda session: reading.list_videos(session, owner_id=OWNER, status=status, limit=50)

    def plan(column: Column, order: Order, lack: Lack | None = None) -> Callable[[Session], object]:
        wanted = Wanted(column=column, recipe=today[column], owner_id=OWNER, lack=lack)

        def ask(session: Session) -> object:
            return lacking.count(session, wanted), lacking.candidates(session, wanted, order=order, limit=100)

        return ask

    def lists(column: Column) -> Wanted:
        return Wanted(column=column, recipe=today[column], owner_id=OWNER)

    begin = dt.datetime(2025, 2, 1, tzinfo=dt.UTC)
    month = replace(lists(shots), since=begin, until=begin + dt.timedelta(days=30))
    return {
        "list, newest 50": newest(None),
        "list, failed": newest(VideoStatus.FAILED),
        "why, one video": lambda session: recipes.known(session, chance.choice(some)),
        "status (metrics)": count_videos,
        "work in progress (metrics)": measure,
        "coverage": lambda session: coverage.coverage(session, today, OWNER),
        "plan: stale shots, oldest": plan(shots, Order.OLDEST),
        "plan: half a space, newest": plan(second, Order.NEWEST),
        "plan: failed shots": plan(shots, Order.OLDEST, Lack.FAILED),
        "coverage, list of shots": lambda session: coverage.videos_lacking(session, lists(shots), None, 50),
        "coverage, list of a space": lambda session: coverage.videos_lacking(session, lists(second), None, 50),
        "plan: stale shots, a month": lambda session: lacking.count(session, month),
    }


def indexes_of(session: Session, ask: Callable[[Session], object]) -> str:
    """Name the indexes, and tables read whole, in the plans of everything a question executes."""
    seen: list[tuple[str, object]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        seen.append((statement, parameters))

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    ask(session)
    event.remove(connection, "before_cursor_execute", note)
    found: list[str] = []
    for statement, parameters in seen:
        lines = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()  # type: ignore[arg-type]
        for line in lines:
            for mark, shown in (("using ", ""), ("Bitmap Index Scan on ", ""), ("Seq Scan on ", "all of ")):
                if mark in line:
                    found.append(shown + line.split(mark)[1].split()[0])
    return ", ".join(dict.fromkeys(found))


def sizes(session: Session, videos: int) -> list[tuple[str, int, float]]:
    """Give (table, rows, bytes a video) of the tables that grow, indexes included."""
    rows = session.execute(
        text(
            "SELECT relname, reltuples::bigint, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND "
            "relname IN ('video', 'scene', 'stage_run', 'video_stage') ORDER BY 3 DESC"
        )
    )
    return [(name, count, size / videos) for name, count, size in rows]


def main() -> int:
    """Fill, ask, print; the exit status is 1 when a question takes too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=1_000_000)
    parser.add_argument("--scenes", type=int, default=10, help="a video")
    parser.add_argument("--repeats", type=int, default=30)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="dailies-scale-") as folder,
        embedded_postgres(Path(folder) / "postgres", durable=False) as url,
    ):
        settings = Settings(database=DatabaseSettings(url=url))
        upgrade(engine_for(settings.database))
        with transaction(settings.database) as session:
            for spec in SPECS:
                spaces.register(session, spec)
            today = recipes.columns(session, Recipes(settings))
        began = time.monotonic()
        fill(settings.database, arguments.videos, arguments.scenes, today)
        print(f"{arguments.videos:,} videos filled in {time.monotonic() - began:.0f} s\n")
        slow = report(settings, today, arguments.repeats)
        with transaction(settings.database) as session:
            print(f"\n{'table':<14}{'rows':>14}{'bytes a video':>16}")
            for name, rows, each in sizes(session, arguments.videos):
                print(f"{name:<14}{rows:>14,}{each:>16,.0f}")
        engine_for(settings.database).dispose()
    return int(slow)


def report(settings: Settings, today: dict[Column, str], repeats: int) -> bool:
    """Print the table; say whether something took too long."""
    slow = False
    print(f"{'question':<28}{'p50 ms':>8}{'p95 ms':>8}  indexes")
    for name, ask in questions(settings, today).items():
        took = []
        for _ in range(repeats):
            with transaction(settings.database) as session:
                began = time.perf_counter()
                ask(session)
                took.append(1000 * (time.perf_counter() - began))
        p95 = statistics.quantiles(took, n=20)[-1]
        slow |= p95 > MUST_P95_MS
        with transaction(settings.database) as session:
            used = indexes_of(session, ask)
        print(f"{name:<28}{statistics.median(took):>8.1f}{p95:>8.1f}  {used}", flush=True)
    return slow


if __name__ == "__main__":
    sys.exit(main())
