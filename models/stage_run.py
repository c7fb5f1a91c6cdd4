"""The ledger: what was tried for each video, stage by stage, and how it ended."""

import datetime as dt
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, PrimaryKeyConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.stages import Stage
from models.base import Base, Created, Id, enum_by_value
from models.states import StageState


class StageRun(Base):
    """One try of one stage in one attempt at a video."""

    __tablename__ = "stage_run"

    id: Mapped[Id]
    video_id: Mapped[UUID] = mapped_column(ForeignKey("video.id", ondelete="CASCADE"))

    stage: Mapped[Stage] = mapped_column(enum_by_value(Stage, "stage"))
    #: What was made; NULL while the stage failed before it knew.
    fingerprint: Mapped[str | None]
    attempt: Mapped[int]
    flow_run_id: Mapped[UUID | None]

    #: Which share of the stage, such as "chunk 3"; NULL for the stage itself, which finishes after its shares.
    part: Mapped[str | None]
    #: Seconds of media time in a share, and how many of them are done while it runs.
    media_s: Mapped[Decimal | None]
    done_s: Mapped[Decimal | None]
    #: Frames, and seconds of media time, per second of wall time while it runs.
    fps: Mapped[float | None]
    speed: Mapped[float | None]

    state: Mapped[StageState] = mapped_column(enum_by_value(StageState, "state"))
    started_at: Mapped[Created]
    ended_at: Mapped[dt.datetime | None]
    error_class: Mapped[str | None]
    error_message: Mapped[str | None]
    error_fingerprint: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("(state = 'running') = (ended_at IS NULL)", name="running_has_no_end"),
        CheckConstraint("(state = 'failed') = (error_class IS NOT NULL)", name="error_iff_failed"),
        Index("ix_stage_run_video_started", "video_id", "started_at"),
        Index("ix_stage_run_running", "started_at", postgresql_where=text("state = 'running'")),
    )


class StageGeneration(Base):
    """How often a person forced a stage of a video to be redone; enters its fingerprint."""

    __tablename__ = "stage_generation"

    video_id: Mapped[UUID] = mapped_column(ForeignKey("video.id", ondelete="CASCADE"))
    stage: Mapped[Stage] = mapped_column(enum_by_value(Stage, "stage"))
    generation: Mapped[int]

    __table_args__ = (PrimaryKeyConstraint("video_id", "stage"),)
