"""Find the few published videos whose newest try failed among the many that are up to date.

Revision ID: b7c2f04d91ae
Revises: 5b0d2f9a6c31
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "b7c2f04d91ae"
down_revision: str | None = "5b0d2f9a6c31"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # A migration that waits for a lock makes everybody else wait behind it.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_index(
        "ix_video_stage_failed",
        "video_stage",
        ["recipe_id", "owner_id", "video_at", "video_id"],
        postgresql_where=sa.text("failed"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_video_stage_failed", "video_stage")
