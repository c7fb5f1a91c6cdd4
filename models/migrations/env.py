"""Alembic's entry: migrates the database it is given, with the tables of `models`."""

from alembic import context
from sqlalchemy import Connection

from core.settings import get_settings
from models import Base
from models.session import engine_for


def run(connection: Connection) -> None:
    """Run the migrations on an open connection."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_server_default=True,
        transaction_per_migration=True,
        include_object=_is_ours,
    )
    with context.begin_transaction():
        context.run_migrations()


def _is_ours(_object: object, name: str | None, kind: str, reflected: bool, _to: object) -> bool:
    # Each encoder brings its own vector index, made when it is registered and not part of the schema.
    return not (kind == "index" and reflected and (name or "").startswith("hnsw_"))


connectable = context.config.attributes.get("connection")
if connectable is not None:
    run(connectable)
else:
    with engine_for(get_settings().database).connect() as opened:
        run(opened)
