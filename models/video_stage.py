"""Which recipe each stage of a published video was done by: what backfills plan from and coverage counts.

Rows are written by `publish` and by fillers of embedding spaces, in their transactions. Triggers of the migration keep
`coverage_count` in step, so that counts never read the rows.
"""

import datetime as dt
from uuid import UUID

from sqlalchemy import ForeignKey, Index, PrimaryKeyConstraint, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.stages import Stage
from models.base import Base, Created, enum_by_value

#: In place of an encoder, for stages that have none.
NO_ENCODER = 0


class Recipe(Base):
    """A way of doing a stage that some video was done by; see core/fingerprint.py."""

    __tablename__ = "recipe"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=True)

    stage: Mapped[Stage] = mapped_column(enum_by_value(Stage, "stage"))
    #: Whose space, for embedding; NO_ENCODER otherwise.
    encoder_id: Mapped[int] = mapped_column(SmallInteger)
    #: Empty for "never done": what a new space's rows begin with.
    name: Mapped[str]
    created_at: Mapped[Created]

    __table_args__ = (UniqueConstraint("stage", "encoder_id", "name"),)


class VideoStage(Base):
    """What is published of one stage of one video."""

    __tablename__ = "video_stage"

    video_id: Mapped[UUID] = mapped_column(ForeignKey("video.id", ondelete="CASCADE"))
    stage: Mapped[Stage] = mapped_column(enum_by_value(Stage, "stage"))
    encoder_id: Mapped[int] = mapped_column(SmallInteger)

    recipe_id: Mapped[int] = mapped_column(SmallInteger, ForeignKey("recipe.id"))
    owner_id: Mapped[str]
    #: The newest try to do it again failed; what was there before still is.
    failed: Mapped[bool] = mapped_column(server_default=text("false"), default=False)
    #: When the video came: backfills take the oldest or the newest first.
    video_at: Mapped[dt.datetime]

    __table_args__ = (
        PrimaryKeyConstraint("video_id", "stage", "encoder_id"),
        Index("ix_video_stage_recipe", "recipe_id", "owner_id", "video_at", "video_id"),
        Index(
            "ix_video_stage_failed",
            "recipe_id",
            "owner_id",
            "video_at",
            "video_id",
            postgresql_where=text("failed"),
        ),
    )


class CoverageCount(Base):
    """How many rows of `video_stage` share a recipe, an owner and an outcome; kept by triggers."""

    __tablename__ = "coverage_count"

    recipe_id: Mapped[int] = mapped_column(SmallInteger)
    owner_id: Mapped[str]
    failed: Mapped[bool]
    videos: Mapped[int]

    __table_args__ = (PrimaryKeyConstraint("recipe_id", "owner_id", "failed"),)
