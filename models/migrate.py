"""Bring a database to the newest schema."""

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

logger = logging.getLogger(__name__)

#: Any number: one migration at a time, however many processes start together.
_LOCK = 7_203_511


def config(connection: Connection | None = None) -> Config:
    """Alembic configuration without an ini file."""
    alembic = Config()
    alembic.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    alembic.set_main_option("file_template", "%%(year)d%%(month).2d%%(day).2d_%%(hour).2d%%(minute).2d_%%(slug)s")
    if connection is not None:
        alembic.attributes["connection"] = connection
    return alembic


def upgrade(engine: Engine) -> None:
    """Apply every migration that is missing; processes that come together wait for one another.

    A database that a newer release has migrated already is left as it is: what a release adds or drops harms no code of
    the release before (docs/upgrade.md), which may bootstrap again beside it, or be what somebody went back to.
    """
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        connection.commit()
        try:
            if newer := _unknown_revision(connection):
                logger.warning("the database is of a newer release (revision %s); it stays as it is", newer)
            else:
                # Alembic would take the transaction that the question opened for its caller's, and hold every
                # migration's locks until the last one.
                connection.commit()
                command.upgrade(config(connection), "head")
            connection.commit()
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
            connection.commit()


def _unknown_revision(connection: Connection) -> str | None:
    """Give the revision of the database when this code has never heard of it."""
    found = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}
    return found if found not in known else None
