"""The vector index of each embedding space: partial, in the space's dimension, made and removed beside live traffic."""

from typing import Final

from sqlalchemy import Connection, text
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
