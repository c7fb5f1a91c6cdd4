"""Workers of two releases side by side, through a migration that adds columns and a later one that drops them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import func, inspect, select, text

from core.settings import DatabaseSettings, Settings
from models import CoverageCount, migrate
from models.session import engine_for, transaction
from tests.conftest import wait_for

ROOT = Path(__file__).parents[3]
WORKER = Path(__file__).with_name("one_worker.py")
TABLES = (
    "video", "source_object", "stage_run", "scene", "rendition", "shot", "video_stage", "recipe", "coverage_count",
)  # fmt: skip
#: How many rows more or fewer than the counts say there are of each recipe.
MISCOUNTED = """
SELECT recipe_id, owner_id, failed, sum(videos) FROM (
    SELECT recipe_id, owner_id, failed, videos FROM coverage_count
    UNION ALL SELECT recipe_id, owner_id, failed, -1 FROM video_stage
) AS both_ways GROUP BY 1, 2, 3 HAVING sum(videos) <> 0
"""
UPGRADE = (
    "from core.settings import get_settings; from models import migrate; from models.session import engine_for; "
    "migrate.upgrade(engine_for(get_settings().database))"
)
MIGRATION = '''"""{about}"""
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "{revision}", "{before}", None, None
def upgrade():
    op.execute("SET LOCAL lock_timeout = '5s'")
    {step}
'''


@dataclass
class Release:
    """Code of one release: its `models` stand before those of this checkout."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}"}

    def upgrade(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", UPGRADE],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@dataclass
class Worker:
    """A process that works until it is told to stop."""

    process: "subprocess.Popen[bytes]"
    folder: Path

    @property
    def done(self) -> int:
        count = self.folder / "count"
        return int(count.read_text()) if count.exists() else 0

    def goes_on(self, uploads: int = 8) -> None:
        """Wait until it has done so many more: more than it takes a driver to prepare its statements."""
        goal = self.done + uploads
        wait_for(lambda: self.done >= goal or self.process.poll() is not None, "the worker goes on", 120)
        assert self.process.poll() is None, (self.folder / "log").read_text()

    def stop(self) -> None:
        (self.folder / "stop").touch()
        assert self.process.wait(60) == 0, (self.folder / "log").read_text()


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Callable[[Release, str], Worker]]:
    workers: list[Worker] = []

    def start(release: Release, name: str) -> Worker:
        folder = tmp_path / name
        folder.mkdir()
        with (folder / "log").open("wb") as log:
            argv = (sys.executable, str(WORKER), str(folder / "count"), str(folder / "stop"))
            process = subprocess.Popen(argv, env=release.environment, cwd=folder, stdout=log, stderr=log)
        workers.append(Worker(process, folder))
        return workers[-1]

    yield start
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait()


def copied(tmp_path: Path, name: str, *migrations: tuple[str, str, str]) -> Release:
    """Make a release with more migrations than this checkout has."""
    folder = tmp_path / name
    shutil.copytree(ROOT / "models", folder / "models", ignore=shutil.ignore_patterns("__pycache__"))
    before = ScriptDirectory.from_config(migrate.config()).get_current_head()
    # A migration a table: one that holds two and a worker that holds them the other way round wait for each other.
    for (slug, about, step), table in product(migrations, TABLES):
        revision = f"{slug}_{table}"
        written = MIGRATION.format(revision=revision, about=about, before=before, step=step.format(table=table))
        (folder / "models" / "migrations" / "versions" / f"29991231_0000_{revision}.py").write_text(written)
        before = revision
    return Release(folder)


def columns(database: DatabaseSettings, table: str) -> set[str]:
    return {column["name"] for column in inspect(engine_for(database)).get_columns(table)}


ADD = (
    "add_colour",
    "Expand",
    'op.add_column("{table}", sa.Column("colour", sa.Text(), nullable=False, server_default="grey"))',
)
BREAK = ("break", "A bug", 'op.execute("SELECT 1 / 0")')
DROP = ("drop_colour", "Contract", 'op.drop_column("{table}", "colour")')


def test_each_migration_is_a_transaction_of_its_own(settings: Settings, tmp_path: Path):
    with pytest.raises(AssertionError, match="division by zero"):
        copied(tmp_path, "broken", ADD, BREAK).upgrade()
    assert all("colour" in columns(settings.database, table) for table in TABLES)


def test_old_and_new_workers_go_on_while_a_column_comes_and_goes(settings: Settings, tmp_path: Path, work):
    present = Release(ROOT)
    added = copied(tmp_path, "added", ADD)
    model = added.folder / "models" / "video.py"
    anchor = "    sha256: Mapped[str | None]\n"
    assert anchor in model.read_text()
    model.write_text(
        model.read_text().replace(anchor, f'    colour: Mapped[str] = mapped_column(server_default="grey")\n{anchor}')
    )
    dropped = copied(tmp_path, "dropped", ADD, DROP)

    old = work(present, "old")
    old.goes_on()
    added.upgrade()  # expand: before any process knows the columns
    assert all("colour" in columns(settings.database, table) for table in TABLES)
    old.goes_on()
    new = work(added, "new")
    new.goes_on()
    old.goes_on()
    present.upgrade()  # a bootstrap of the old release beside them changes nothing and is no error
    assert "colour" in columns(settings.database, "video")

    new.stop()  # contract: after the last process that knows the columns has gone
    dropped.upgrade()
    assert all("colour" not in columns(settings.database, table) for table in TABLES)
    old.goes_on()
    newest = work(dropped, "newest")
    newest.goes_on()
    old.goes_on()
    old.stop()
    newest.stop()
    with transaction(settings.database) as session:
        assert session.scalar(select(func.sum(CoverageCount.videos))) > 0
        assert session.execute(text(MISCOUNTED)).all() == []


def test_code_that_is_older_than_its_database_leaves_it_alone(settings: Settings, tmp_path: Path):
    copied(tmp_path, "added", ADD).upgrade()
    migrate.upgrade(engine_for(settings.database))
    assert "colour" in columns(settings.database, "video")
