"""The records at scale: a million videos with ten million scenes, and what lists, counts and plans cost there.

    python -m benchmarks.scale [--videos 1000000] [--scenes 10] [--repeats 30]

Starts a Postgres of its own in a temporary folder and fills it by SQL, without vectors. Every question is asked through
the code that the service and the backfill flow use. Exits with 1 when one of them takes longer than it may.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import event, select
from sqlalchemy.engine import Connection

from benchmarks.records import print_growth, table_sizes
from benchmarks.scale_rows import APART, BEGIN, OWNER, SECOND, SHOTS, SPECS, fill
from core.fingerprint import Recipes
from core.settings import DatabaseSettings, Settings
from deployments.embedded.postgres import embedded_postgres
from dispatch import planning
from dispatch.planning import Selection
from models import Video, VideoStatus, coverage, failing, reading, recipes, spaces
from models.lacking import Candidate, Lack, Order
from models.measuring import count_videos, measure
from models.migrate import upgrade
from models.recipes import Column
from models.session import engine_for, transaction

#: What a question may take, ms, in 19 of 20 cases.
MUST_P95_MS: Final = 200.0
#: Videos in one page of a list, and of a backfill.
PAGE, BATCH = 50, 100
#: Of a backfill; its estimate wants one.
PER_MINUTE: Final = 60

Ask = Callable[[], object]


class Asked:
    """What is asked, in transactions of its own as service and flows have them; places in the middle are drawn."""

    def __init__(self, settings: Settings, videos: int, today: dict[Column, str]) -> None:
        self.settings, self.videos, self.today = settings, videos, today
        self.chance = random.Random(1)
        with transaction(settings.database) as session:
            indexed = select(Video.id).where(Video.status == VideoStatus.INDEXED)
            self.some = session.scalars(indexed.limit(1000)).all()

    def somewhere(self) -> Candidate:
        """Give a place among all videos."""
        at = BEGIN + self.chance.randrange(self.videos) * APART
        return Candidate(video_id=UUID(int=self.chance.getrandbits(128)), video_at=at)

    def listed(self, status: VideoStatus | None, *, middle: bool = False) -> object:
        place = self.somewhere()
        after = (place.video_at, place.video_id) if middle else None
        with transaction(self.settings.database) as session:
            return reading.list_videos(session, owner_id=OWNER, status=status, after=after, limit=PAGE)

    def why(self) -> object:
        with transaction(self.settings.database) as session:
            one = self.chance.choice(self.some)
            return reading.video_with_parts(session, one), recipes.known(session, one)

    def of_session(self, ask: Callable[..., object], *args: object) -> object:
        with transaction(self.settings.database) as session:
            return ask(session, *args)

    def plan(self, column: Column, *, month: bool = False, **more: object) -> object:
        since = self.somewhere().video_at if month else None
        until = since + 86_400 * APART if since else None
        return planning.plan(self.settings, self.selection(column, since=since, until=until, **more), PER_MINUTE)

    def page(self, column: Column, order: Order) -> object:
        selection = self.selection(column, order=order)
        aim = planning.target(self.settings, selection)
        return planning.page(self.settings, selection, aim, self.somewhere(), BATCH)

    def lacking(self, column: Column) -> object:
        selection = self.selection(column)
        which = planning.wanted(self.settings, selection, planning.target(self.settings, selection))
        return self.of_session(coverage.videos_lacking, which, self.somewhere(), PAGE)

    def selection(self, column: Column, **more: object) -> Selection:
        space = str(column.encoder_id) if column.encoder_id else None
        return Selection.model_validate({"stage": column.stage, "space": space} | more)

    def questions(self) -> dict[str, Ask]:
        """Give them by name."""
        return {
            "list, newest": lambda: self.listed(None),
            "list, in the middle": lambda: self.listed(None, middle=True),
            "list, failed": lambda: self.listed(VideoStatus.FAILED),
            "list, failed, in the middle": lambda: self.listed(VideoStatus.FAILED, middle=True),
            "why, one video": self.why,
            "status (metrics)": lambda: self.of_session(count_videos),
            "work in progress (metrics)": lambda: self.of_session(measure),
            "failures, grouped": lambda: self.of_session(failing.failure_groups, OWNER),
            "coverage": lambda: self.of_session(coverage.coverage, self.today, OWNER),
            "encoders": lambda: self.of_session(spaces.coverage),
            "plan: stale shots": lambda: self.plan(SHOTS),
            "plan: shots, a month": lambda: self.plan(SHOTS, month=True),
            "plan: shots, failed": lambda: self.plan(SHOTS, state=Lack.FAILED),
            "page: shots, in the middle": lambda: self.page(SHOTS, Order.OLDEST),
            "plan: half a space": lambda: self.plan(SECOND, order=Order.NEWEST),
            "page: space, in the middle": lambda: self.page(SECOND, Order.NEWEST),
            "videos that lack shots": lambda: self.lacking(SHOTS),
            "videos that lack the space": lambda: self.lacking(SECOND),
        }


def indexes_of(settings: DatabaseSettings, ask: Ask) -> str:
    """Name the indexes, and tables read whole, in the plans of everything a question executes."""
    seen: list[tuple[str, object]] = []

    def note(_connection: Connection, _cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            seen.append((statement, parameters))

    engine = engine_for(settings)
    event.listen(engine, "before_cursor_execute", note)
    ask()
    event.remove(engine, "before_cursor_execute", note)
    found: list[str] = []
    with engine.connect() as connection:
        for statement, parameters in seen:
            lines = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()  # type: ignore[arg-type]
            for line in lines:
                for mark, shown in (("using ", ""), ("Bitmap Index Scan on ", ""), ("Seq Scan on ", "all of ")):
                    if mark in line:
                        found.append(shown + line.split(mark)[1].split()[0])
    return ", ".join(dict.fromkeys(found))


def report(asked: Asked, repeats: int) -> bool:
    """Print the table; say whether everything was quick enough."""
    slow = []
    print(f"{'question':<28}{'p50 ms':>8}{'p95 ms':>8}  indexes")
    for name, ask in asked.questions().items():
        took = []
        for _ in range(repeats):
            began = time.perf_counter()
            ask()
            took.append(1000 * (time.perf_counter() - began))
        p95 = statistics.quantiles(took, n=20, method="inclusive")[-1]
        slow += [name] * (p95 > MUST_P95_MS)
        print(
            f"{name:<28}{statistics.median(took):>8.1f}{p95:>8.1f}  {indexes_of(asked.settings.database, ask)}",
            flush=True,
        )
    print(f"p95 must be {MUST_P95_MS:.0f} ms or less: {'MISSED by ' + ', '.join(slow) if slow else 'met'}", flush=True)
    return not slow


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
        settings = Settings(database=DatabaseSettings(url=url), owner_id=OWNER)
        upgrade(engine_for(settings.database))
        with transaction(settings.database) as session:
            for spec in SPECS:
                spaces.register(session, spec)
            today = recipes.columns(session, Recipes(settings))
        plain = engine_for(settings.database).url.set(drivername="postgresql").render_as_string(hide_password=False)
        began, before = time.monotonic(), table_sizes(plain)
        fill(settings.database, arguments.videos, arguments.scenes, today)
        print(f"{arguments.videos:,} videos filled in {time.monotonic() - began:.0f} s\n", flush=True)
        is_met = report(Asked(settings, arguments.videos, today), arguments.repeats)
        print()
        print_growth("our tables", before, table_sizes(plain), arguments.videos)
        engine_for(settings.database).dispose()
    return int(not is_met)


if __name__ == "__main__":
    sys.exit(main())
