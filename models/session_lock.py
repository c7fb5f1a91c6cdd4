"""A lock that a process holds across transactions; it is free again as soon as the process is gone, however it went."""

from contextlib import suppress
from typing import Final, Self

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from core.settings import DatabaseSettings
from models.session import database_errors, engine_for

#: Any number; with a name's hash it is the lock's own.
_LOCK: Final = 7_203_515
#: A machine that vanished is noticed by its silence; Postgres would wait for hours. Of no effect on one machine.
_NOTICE: Final = "SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"


class SessionLock:
    """A lock by name, held by a connection of its own: what holds transactions would keep old rows alive for days."""

    def __init__(self, settings: DatabaseSettings, name: str) -> None:
        self._settings, self._name = settings, name
        self._connection: Connection | None = None
        self._has = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._give_up()

    def held(self) -> bool:
        """Say whether it is ours: taken now, held still, or taken again after the connection was lost.

        Raises:
            DatabaseUnavailable: transient; until it is ours again, somebody else may take it.
        """
        with database_errors():
            try:
                if self._connection is None:
                    opened = engine_for(self._settings).connect()
                    self._connection = opened.execution_options(isolation_level="AUTOCOMMIT")
                    self._connection.execute(text(_NOTICE))
                if self._has:
                    self._connection.execute(text("SELECT 1"))
                else:
                    take = text("SELECT pg_try_advisory_lock(:lock, hashtext(:name))")
                    self._has = bool(self._connection.scalar(take, {"lock": _LOCK, "name": self._name}))
            except SQLAlchemyError:
                self._give_up()
                raise
        return self._has

    def _give_up(self) -> None:
        connection, self._connection, self._has = self._connection, None, False
        if connection is None:
            return
        with suppress(SQLAlchemyError):
            if not connection.invalidated:  # one that is lost holds nothing
                connection.execute(text("SELECT pg_advisory_unlock_all()"))
                connection.close()  # back to the pool, free of locks
                return
        with suppress(SQLAlchemyError):
            # Not given back: nobody knows what it holds, until it is closed.
            connection.invalidate()
            connection.close()
