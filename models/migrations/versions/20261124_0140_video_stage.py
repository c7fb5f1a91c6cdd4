"""Say by which recipe each stage of each video was done, and count it as it changes.

Revision ID: 3c9a5e7714d2
Revises: 8d41f6e0c3b7
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "3c9a5e7714d2"
down_revision: str | None = "8d41f6e0c3b7"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

STAGES = ("validate", "transcode", "shots", "stills", "embed", "publish")

# Statements, not rows, are counted: a backfill of a thousand rows changes a few counts once. The lock makes
# transactions that change counts follow one another, so that no two wait for each other's rows.
COUNT = """
CREATE FUNCTION count_video_stages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7203514);
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM coverage_count;
    ELSIF TG_OP = 'INSERT' THEN
        INSERT INTO coverage_count AS known (recipe_id, owner_id, failed, videos)
        SELECT recipe_id, owner_id, failed, count(*) FROM newer GROUP BY 1, 2, 3
        ON CONFLICT (recipe_id, owner_id, failed) DO UPDATE SET videos = known.videos + excluded.videos;
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE coverage_count AS known SET videos = known.videos - gone.videos
        FROM (SELECT recipe_id, owner_id, failed, count(*) AS videos FROM older GROUP BY 1, 2, 3) AS gone
        WHERE (known.recipe_id, known.owner_id, known.failed) = (gone.recipe_id, gone.owner_id, gone.failed);
    ELSE
        INSERT INTO coverage_count AS known (recipe_id, owner_id, failed, videos)
        SELECT recipe_id, owner_id, failed, sum(change)
        FROM (
            SELECT recipe_id, owner_id, failed, 1 AS change FROM newer
            UNION ALL
            SELECT recipe_id, owner_id, failed, -1 FROM older
        ) AS changed
        GROUP BY 1, 2, 3 HAVING sum(change) <> 0
        ON CONFLICT (recipe_id, owner_id, failed) DO UPDATE SET videos = known.videos + excluded.videos;
    END IF;
    RETURN NULL;
END $$
"""

# What was published before has a recipe nobody knows: a backfill does it once, and finds most of it in the store.
KNOWN = """
WITH done AS (
    SELECT video.id, stage.name, 0 AS encoder_id, video.owner_id, video.created_at
    FROM video
    CROSS JOIN unnest(ARRAY['validate', 'transcode', 'shots', 'stills', 'publish']) AS stage (name)
    WHERE video.status = 'indexed'
    UNION ALL
    SELECT DISTINCT video.id, 'embed', scene_embedding.encoder_id, video.owner_id, video.created_at
    FROM video
    JOIN scene ON scene.video_id = video.id
    JOIN scene_embedding ON scene_embedding.scene_id = scene.id
    WHERE video.status = 'indexed'
), recipes AS (
    INSERT INTO recipe (stage, encoder_id, name)
    SELECT DISTINCT name, encoder_id, 'unknown' FROM done
    RETURNING id, stage, encoder_id
)
INSERT INTO video_stage (video_id, stage, encoder_id, recipe_id, owner_id, video_at)
SELECT done.id, done.name, done.encoder_id, recipes.id, done.owner_id, done.created_at
FROM done JOIN recipes ON (recipes.stage, recipes.encoder_id) = (done.name, done.encoder_id)
"""


def _stage() -> sa.Enum:
    return sa.Enum(*STAGES, name="stage", native_enum=False, create_constraint=True, length=32)


def upgrade() -> None:
    # A migration that waits for a lock makes everybody else wait behind it.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "recipe",
        sa.Column("id", sa.SmallInteger(), autoincrement=True, nullable=False),
        sa.Column("stage", _stage(), nullable=False),
        sa.Column("encoder_id", sa.SmallInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipe")),
        sa.UniqueConstraint("stage", "encoder_id", "name", name=op.f("uq_recipe_stage_encoder_id_name")),
    )
    op.create_table(
        "video_stage",
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column("stage", _stage(), nullable=False),
        sa.Column("encoder_id", sa.SmallInteger(), nullable=False),
        sa.Column("recipe_id", sa.SmallInteger(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("failed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("video_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["video_id"], ["video.id"], name=op.f("fk_video_stage_video_id_video"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["recipe_id"], ["recipe.id"], name=op.f("fk_video_stage_recipe_id_recipe")),
        sa.PrimaryKeyConstraint("video_id", "stage", "encoder_id", name=op.f("pk_video_stage")),
    )
    op.create_index("ix_video_stage_recipe", "video_stage", ["recipe_id", "owner_id", "video_at", "video_id"])
    op.create_table(
        "coverage_count",
        sa.Column("recipe_id", sa.SmallInteger(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("videos", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("recipe_id", "owner_id", "failed", name=op.f("pk_coverage_count")),
    )
    op.create_index("ix_video_owner_status", "video", ["owner_id", "status"])
    op.execute(COUNT)
    for event, tables in (
        ("INSERT", "REFERENCING NEW TABLE AS newer"),
        ("UPDATE", "REFERENCING OLD TABLE AS older NEW TABLE AS newer"),
        ("DELETE", "REFERENCING OLD TABLE AS older"),
        ("TRUNCATE", ""),
    ):
        op.execute(
            f"CREATE TRIGGER count_on_{event.lower()} AFTER {event} ON video_stage {tables} "
            "FOR EACH STATEMENT EXECUTE FUNCTION count_video_stages()"
        )
    op.execute(KNOWN)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_video_owner_status", "video")
    op.drop_table("coverage_count")
    op.drop_table("video_stage")
    op.drop_table("recipe")
    op.execute("DROP FUNCTION count_video_stages()")
