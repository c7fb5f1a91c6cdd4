"""The first tables: inbox, videos, what is made of them, encoders, the ledger.

Revision ID: 165aae9e75bf
Revises:
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy.dialects import postgresql

revision: str = "165aae9e75bf"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    # A migration that waits for a lock makes everybody else wait behind it.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.create_table(
        "counter",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counter")),
    )
    op.create_table(
        "encoder",
        sa.Column("id", sa.SmallInteger(), autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("dim", sa.BigInteger(), nullable=False),
        sa.Column("preprocess", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("dim BETWEEN 1 AND 4000", name=op.f("ck_encoder_indexable_dim")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_encoder")),
        sa.UniqueConstraint(
            "name", "revision", "dim", "preprocess", name=op.f("uq_encoder_name_revision_dim_preprocess")
        ),
    )
    op.create_index("uq_encoder_active", "encoder", ["is_active"], unique=True, postgresql_where=sa.text("is_active"))
    op.create_table(
        "installation",
        sa.Column("id", sa.SmallInteger(), server_default=sa.text("1"), autoincrement=False, nullable=False),
        sa.Column("installed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("adopted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "video",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("container", sa.Text(), nullable=True),
        sa.Column("duration_s", sa.Numeric(precision=16, scale=6), nullable=True),
        sa.Column("width", sa.BigInteger(), nullable=True),
        sa.Column("height", sa.BigInteger(), nullable=True),
        sa.Column("frame_rate", sa.Text(), nullable=True),
        sa.Column("video_codec", sa.Text(), nullable=True),
        sa.Column("audio_codec", sa.Text(), nullable=True),
        sa.Column(
            "degraded", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'::jsonb"), nullable=False
        ),
        sa.Column("contact_sheet_key", sa.Text(), nullable=True),
        sa.Column("proxy_key", sa.Text(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "uploading",
                "validating",
                "processing",
                "indexed",
                "rejected",
                "failed",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reject_reason", sa.Text(), nullable=True),
        sa.Column("reject_sentence", sa.Text(), nullable=True),
        sa.Column("error_stage", sa.Text(), nullable=True),
        sa.Column("error_class", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_fingerprint", sa.Text(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("flow_run_id", sa.Uuid(), nullable=True),
        sa.Column("auto_resumes", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("indexed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'rejected') = (reject_reason IS NOT NULL)", name=op.f("ck_video_reason_iff_rejected")
        ),
        sa.CheckConstraint("status <> 'failed' OR error_class IS NOT NULL", name=op.f("ck_video_failed_has_error")),
        sa.CheckConstraint("status <> 'indexed' OR indexed_at IS NOT NULL", name=op.f("ck_video_indexed_has_time")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_video")),
    )
    op.create_index(
        "ix_video_error_fingerprint",
        "video",
        ["error_fingerprint"],
        unique=False,
        postgresql_where=sa.text("status = 'failed'"),
    )
    op.create_index("ix_video_owner_created", "video", ["owner_id", "created_at"], unique=False)
    op.create_index("ix_video_status_created", "video", ["status", "created_at"], unique=False)
    op.create_table(
        "rendition",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("width", sa.BigInteger(), nullable=False),
        sa.Column("height", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["video_id"], ["video.id"], name=op.f("fk_rendition_video_id_video"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rendition")),
        sa.UniqueConstraint("video_id", "name", name=op.f("uq_rendition_video_id_name")),
    )
    op.create_table(
        "scene",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("start_s", sa.Numeric(precision=16, scale=6), nullable=False),
        sa.Column("end_s", sa.Numeric(precision=16, scale=6), nullable=False),
        sa.Column("poster_key", sa.Text(), nullable=True),
        sa.CheckConstraint("end_s > start_s", name=op.f("ck_scene_not_empty")),
        sa.ForeignKeyConstraint(["video_id"], ["video.id"], name=op.f("fk_scene_video_id_video"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scene")),
        sa.UniqueConstraint("video_id", "index", name=op.f("uq_scene_video_id_index")),
    )
    op.create_index("ix_scene_owner_id", "scene", ["owner_id"], unique=False)
    op.create_table(
        "shot",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("start_s", sa.Numeric(precision=16, scale=6), nullable=False),
        sa.Column("end_s", sa.Numeric(precision=16, scale=6), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("start", "cut", "gradual", name="kind", native_enum=False, create_constraint=True, length=32),
            nullable=False,
        ),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.CheckConstraint("end_s > start_s", name=op.f("ck_shot_not_empty")),
        sa.ForeignKeyConstraint(["video_id"], ["video.id"], name=op.f("fk_shot_video_id_video"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shot")),
        sa.UniqueConstraint("video_id", "index", name=op.f("uq_shot_video_id_index")),
    )
    op.create_table(
        "source_object",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=True),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("last_modified", sa.DateTime(timezone=True), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "queue",
            sa.Enum(
                "uploads", "backfill", "system", name="queue", native_enum=False, create_constraint=True, length=32
            ),
            server_default=sa.text("'uploads'"),
            nullable=False,
        ),
        sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["video_id"], ["video.id"], name=op.f("fk_source_object_video_id_video"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_object")),
        sa.UniqueConstraint("bucket", "key", "version", name=op.f("uq_source_object_bucket_key_version")),
        sa.UniqueConstraint("video_id", name=op.f("uq_source_object_video_id")),
    )
    op.create_index(
        "ix_source_object_undispatched",
        "source_object",
        ["seen_at"],
        unique=False,
        postgresql_where=sa.text("dispatched_at IS NULL"),
    )
    op.create_table(
        "stage_generation",
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column(
            "stage",
            sa.Enum(
                "validate",
                "transcode",
                "shots",
                "stills",
                "embed",
                "publish",
                name="stage",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["video_id"], ["video.id"], name=op.f("fk_stage_generation_video_id_video"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("video_id", "stage", name=op.f("pk_stage_generation")),
    )
    op.create_table(
        "stage_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("video_id", sa.Uuid(), nullable=False),
        sa.Column(
            "stage",
            sa.Enum(
                "validate",
                "transcode",
                "shots",
                "stills",
                "embed",
                "publish",
                name="stage",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("flow_run_id", sa.Uuid(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "running",
                "done",
                "reused",
                "failed",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_class", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_fingerprint", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'failed') = (error_class IS NOT NULL)", name=op.f("ck_stage_run_error_iff_failed")
        ),
        sa.CheckConstraint("(state = 'running') = (ended_at IS NULL)", name=op.f("ck_stage_run_running_has_no_end")),
        sa.ForeignKeyConstraint(
            ["video_id"], ["video.id"], name=op.f("fk_stage_run_video_id_video"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stage_run")),
    )
    op.create_index(
        "ix_stage_run_running", "stage_run", ["started_at"], unique=False, postgresql_where=sa.text("state = 'running'")
    )
    op.create_index("ix_stage_run_video_started", "stage_run", ["video_id", "started_at"], unique=False)
    op.create_table(
        "scene_embedding",
        sa.Column("scene_id", sa.Uuid(), nullable=False),
        sa.Column("encoder_id", sa.SmallInteger(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("vector", HALFVEC(), nullable=False),
        sa.ForeignKeyConstraint(["encoder_id"], ["encoder.id"], name=op.f("fk_scene_embedding_encoder_id_encoder")),
        sa.ForeignKeyConstraint(
            ["scene_id"], ["scene.id"], name=op.f("fk_scene_embedding_scene_id_scene"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("scene_id", "encoder_id", name=op.f("pk_scene_embedding")),
    )
    op.create_index("ix_scene_embedding_owner", "scene_embedding", ["encoder_id", "owner_id"], unique=False)
    op.execute("INSERT INTO installation DEFAULT VALUES")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_scene_embedding_owner", table_name="scene_embedding")
    op.drop_table("scene_embedding")
    op.drop_index("ix_stage_run_video_started", table_name="stage_run")
    op.drop_index("ix_stage_run_running", table_name="stage_run", postgresql_where=sa.text("state = 'running'"))
    op.drop_table("stage_run")
    op.drop_table("stage_generation")
    op.drop_index(
        "ix_source_object_undispatched", table_name="source_object", postgresql_where=sa.text("dispatched_at IS NULL")
    )
    op.drop_table("source_object")
    op.drop_table("shot")
    op.drop_index("ix_scene_owner_id", table_name="scene")
    op.drop_table("scene")
    op.drop_table("rendition")
    op.drop_index("ix_video_status_created", table_name="video")
    op.drop_index("ix_video_owner_created", table_name="video")
    op.drop_index("ix_video_error_fingerprint", table_name="video", postgresql_where=sa.text("status = 'failed'"))
    op.drop_table("video")
    op.drop_table("installation")
    op.drop_index("uq_encoder_active", table_name="encoder", postgresql_where=sa.text("is_active"))
    op.drop_table("encoder")
    op.drop_table("counter")
