"""Files that players ask for by path; shares of stages and their progress; chunks that wait to be removed.

Revision ID: 5c1f0a9be742
Revises: 5f0c21d7a9e4
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "5c1f0a9be742"
down_revision: str | None = "5f0c21d7a9e4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

SHARES = (
    ("part", sa.Text()),
    ("media_s", sa.Numeric(16, 6)),
    ("done_s", sa.Numeric(16, 6)),
    ("fps", sa.Float()),
    ("speed", sa.Float()),
)


def upgrade() -> None:
    # A migration that waits for a lock makes everybody else wait behind it.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "derived_file",
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["video_id"], ["video.id"], name=op.f("fk_derived_file_video_id_video"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("video_id", "path", name=op.f("pk_derived_file")),
    )
    for name, kind in SHARES:
        op.add_column("stage_run", sa.Column(name, kind, nullable=True))
    op.add_column("video", sa.Column("has_chunks", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index("ix_video_has_chunks", "video", ["id"], postgresql_where=sa.text("has_chunks"))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_video_has_chunks", table_name="video", postgresql_where=sa.text("has_chunks"))
    op.drop_column("video", "has_chunks")
    for name, _ in reversed(SHARES):
        op.drop_column("stage_run", name)
    op.drop_table("derived_file")
