"""Reruns that were asked for are written down, redriven videos wait for their turn, leftovers are swept in rotation.

Revision ID: 7be2c40d51a9
Revises: 5c1f0a9be742
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "7be2c40d51a9"
down_revision: str | None = "5c1f0a9be742"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # A migration that waits for a lock makes everybody else wait behind it.
    op.execute("SET LOCAL lock_timeout = '5s'")
    for name in ("rerun_at", "redrive_at", "swept_at"):
        op.add_column("video", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_video_rerun", "video", ["id"], postgresql_where=sa.text("rerun_at IS NOT NULL"))
    op.create_index("ix_video_redrive", "video", ["redrive_at"], postgresql_where=sa.text("redrive_at IS NOT NULL"))
    op.create_index(
        "ix_video_swept",
        "video",
        [sa.text("swept_at NULLS FIRST")],
        postgresql_where=sa.text("attempt > 1"),
    )


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for name in ("ix_video_swept", "ix_video_redrive", "ix_video_rerun"):
        op.drop_index(name, table_name="video")
    for name in ("swept_at", "redrive_at", "rerun_at"):
        op.drop_column("video", name)
