"""The vector index of each embedding space: partial, in the space's dimension, made and removed beside live traffic."""

from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from core.settings import DatabaseSettings
from models.encoder import Encoder
from models.session import database_errors, engine_for
from models.states import IndexState

#: Any number; with the space's own it is a lock that one process at a time holds while it makes an index.
_LOCK: Final = 7_203_512

_STATE: Final = text(
    """
    SELECT indisvalid, EXISTS (SELECT FROM pg_stat_progress_create_index AS made WHERE made.index_relid = indexrelid)
    FROM pg_index WHERE indexrelid = to_regclass(:name)
    """
)

#: As the last VACUUM or ANALYZE left it; -1 before the first one.
_INDEXED: Final = text(
    """
    SELECT reltuples FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indexrelid = to_regclass(:name) AND indisvalid
    """
)

#: Of each vector in an index that is being made, besides its numbers: 32 neighbours of 16 bytes, and a head.
_BYTES_OF_LINKS: Final = 800
#: The graph is made several times as fast where memory holds it whole: as much as that takes, at most what the server
#: uses for pages, at least what it gives anyway.
_ROOM: Final = text(
    """
    SELECT set_config('maintenance_work_mem', greatest(given, least(whole, pages)) / 1024 || 'kB', false)
    FROM (
        SELECT greatest(reltuples, 0)::bigint * :each AS whole,
               pg_size_bytes(current_setting('shared_buffers')) AS pages,
               pg_size_bytes(current_setting('maintenance_work_mem')) AS given
        FROM pg_class WHERE oid = 'scene_embedding'::regclass
    ) AS sizes
    """
)
#: SQLSTATE: disk_full and out_of_memory.
_NO_ROOM: Final = frozenset({"53100", "53200"})


def index_name(encoder: Encoder) -> str:
    """Name the index of a space; migrations leave names that begin with hnsw_ alone."""
    return f"hnsw_scene_embedding_{int(encoder.id)}"


def index_state(session: Session | Connection, encoder: Encoder) -> IndexState:
    """Say whether a space's index can answer."""
    row = session.execute(_STATE, {"name": index_name(encoder)}).first()
    if row is None:
        return IndexState.MISSING
    is_valid, is_being_made = row
    if is_valid:
        return IndexState.READY
    return IndexState.BUILDING if is_being_made else IndexState.INVALID


def vectors_indexed(session: Session | Connection, encoder: Encoder) -> int | None:
    """Give about how many vectors a space's index holds; None when it cannot answer."""
    found = session.scalar(_INDEXED, {"name": index_name(encoder)})
    return None if found is None else int(found)


def ensure_index(settings: DatabaseSettings, encoder: Encoder) -> IndexState:
    """Make a space's index when it is missing or was left half made; another process at it is left alone.

    Searches and writes go on meanwhile. Give the state it is in afterwards.

    Raises:
        DatabaseUnavailable: no connection, or it was lost (transient); the next call makes the index anew.
    """
    with database_errors(), engine_for(settings).connect() as opened:
        connection = opened.execution_options(isolation_level="AUTOCOMMIT")
        if index_state(connection, encoder) is IndexState.READY:
            return IndexState.READY
        key = {"lock": _LOCK, "space": int(encoder.id)}
        # Never waited for: its holder waits for every open transaction, this one's caller's among them.
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:lock, :space)"), key):
            return index_state(connection, encoder)
        try:
            _make(connection, encoder)
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock, :space)"), key)
        return index_state(connection, encoder)


def _make(connection: Connection, encoder: Encoder) -> None:
    state = index_state(connection, encoder)
    if state is IndexState.READY:
        return
    if state is not IndexState.MISSING:
        connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {index_name(encoder)}"))
    connection.execute(_ROOM, {"each": 2 * int(encoder.dim) + _BYTES_OF_LINKS})
    try:
        _create(connection, encoder)
    except OperationalError as error:
        # Its workers share that memory in /dev/shm, which is small in many a container; one process alone needs none.
        if getattr(error.orig, "sqlstate", None) not in _NO_ROOM:
            raise
        connection.execute(text("SET max_parallel_maintenance_workers = 0"))
        connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {index_name(encoder)}"))
        _create(connection, encoder)
    finally:
        if not connection.invalidated:
            connection.execute(text("RESET maintenance_work_mem"))
            connection.execute(text("RESET max_parallel_maintenance_workers"))


def _create(connection: Connection, encoder: Encoder) -> None:
    # It waits for transactions that are older than itself, and blocks none. Unit vectors: the inner product orders them as the cosine does, and costs less.
    connection.execute(
        text(
            f"CREATE INDEX CONCURRENTLY {index_name(encoder)} ON scene_embedding "
            f"USING hnsw ((vector::halfvec({int(encoder.dim)})) halfvec_ip_ops) WHERE encoder_id = {int(encoder.id)}"
        )
    )


def drop_index(settings: DatabaseSettings, encoder: Encoder) -> None:
    """Remove a space's index beside live traffic; a space without one is searched by exact scans.

    Raises:
        DatabaseUnavailable: no connection, or it was lost (transient).
    """
    with database_errors(), engine_for(settings).connect() as opened:
        connection = opened.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {index_name(encoder)}"))
