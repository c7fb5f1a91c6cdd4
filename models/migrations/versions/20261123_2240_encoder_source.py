"""Remember what an encoder is loaded by: a space must answer long after the settings name another one.

Revision ID: 8d41f6e0c3b7
Revises: 8f3a1d6c20b7
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "8d41f6e0c3b7"
down_revision: str | None = "8f3a1d6c20b7"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # A migration that waits for a lock makes everybody else wait behind it.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("encoder", sa.Column("source", sa.Text(), nullable=True))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("encoder", "source")
