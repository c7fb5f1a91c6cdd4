"""Keep when the process at work on a video last gave a sign of life; find a video by its run.

Revision ID: 5b0d2f9a6c31
Revises: 3c9a5e7714d2
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "5b0d2f9a6c31"
down_revision: str | None = "3c9a5e7714d2"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # A migration that waits for a lock makes everybody else wait behind it.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("video", sa.Column("alive_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("video", sa.Column("alive_attempt", sa.BigInteger(), nullable=True))
    op.create_index("ix_video_flow_run", "video", ["flow_run_id"])


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_video_flow_run", "video")
    op.drop_column("video", "alive_attempt")
    op.drop_column("video", "alive_at")
