"""Words of titles and descriptions, searched as full text.

Adding the generated column writes every row of `video` again under an exclusive lock: a second for 100,000 videos.

Revision ID: 5f0c21d7a9e4
Revises: 165aae9e75bf
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "5f0c21d7a9e4"
down_revision: str | None = "165aae9e75bf"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # A migration that waits for a lock makes everybody else wait behind it.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("CREATE EXTENSION IF NOT EXISTS unaccent")
    # English stems, with accents taken off first: `café` is found by `cafe`.
    op.execute("CREATE TEXT SEARCH CONFIGURATION dailies (COPY = pg_catalog.english)")
    op.execute(
        "ALTER TEXT SEARCH CONFIGURATION dailies ALTER MAPPING FOR hword, hword_part, word WITH unaccent, english_stem"
    )
    op.add_column(
        "video",
        sa.Column(
            "words",
            postgresql.TSVECTOR(),
            sa.Computed(
                "setweight(to_tsvector('dailies'::regconfig, title), 'A') || "
                "setweight(to_tsvector('dailies'::regconfig, COALESCE(description, '')), 'B')",
                persisted=True,
            ),
            nullable=False,
        ),
    )
    op.create_index("ix_video_words", "video", ["words"], unique=False, postgresql_using="gin")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_video_words", table_name="video", postgresql_using="gin")
    op.drop_column("video", "words")
    op.execute("DROP TEXT SEARCH CONFIGURATION dailies")
