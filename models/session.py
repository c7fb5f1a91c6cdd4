"""Engines and sessions; driver errors leave here as ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from core.errors import DatabaseUnavailable, MissingDependency
from core.settings import DatabaseSettings

#: SQLSTATE read_only_sql_transaction.
_READ_ONLY: Final = "25006"


@cache
def engine_for(settings: DatabaseSettings) -> Engine:
    """Give this process's engine; connections are checked before use, so a restarted server is no error.

    Raises:
        MissingDependency: no database is configured (permanent).
    """
    url = settings.url.get_secret_value()
    if not url:
        raise MissingDependency(
            "No database is configured: set DAILIES_DATABASE__URL, or start a stack with `dailies up`."
        )
    return create_engine(
        url,
        pool_size=settings.pool_size,
        max_overflow=settings.pool_size * 2,
        pool_pre_ping=True,
        # Values, such as whole vectors, have no place in the messages that errors carry to people.
        hide_parameters=True,
        connect_args={"connect_timeout": settings.connect_timeout_s},
    )


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn an unreachable or restarting database into a transient error.

    Raises:
        DatabaseUnavailable: no connection, or it was lost (transient).
    """
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable("Every connection to the database is taken.") from error
    except (OperationalError, InterfaceError) as error:
        raise DatabaseUnavailable(f"The database did not answer: {_first_line(error)}") from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _READ_ONLY:
            # A standby, or a primary that is being replaced: after the switch the same address takes writes.
            raise DatabaseUnavailable(f"The database takes no writes: {_first_line(error)}") from error
        if error.connection_invalidated:
            raise DatabaseUnavailable(f"The database connection was lost: {_first_line(error)}") from error
        raise


@contextmanager
def transaction(settings: DatabaseSettings) -> Iterator[Session]:
    """Open a session in one transaction: committed at the end, rolled back on any exception.

    Raises:
        DatabaseUnavailable: no connection, or it was lost (transient).
    """
    with database_errors(), Session(engine_for(settings), expire_on_commit=False) as session, session.begin():
        yield session


def ping(settings: DatabaseSettings) -> None:
    """Ask the database for one row.

    Raises:
        DatabaseUnavailable: it did not answer (transient).
    """
    with transaction(settings) as session:
        session.execute(text("SELECT 1"))


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
