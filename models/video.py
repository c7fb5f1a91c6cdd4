"""A video: what was uploaded, where it is on its way, and what it became."""

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, Index, func, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column, relationship

from models.base import Base, Created, Id, enum_by_value
from models.states import VideoStatus

if TYPE_CHECKING:
    from models.derived_file import DerivedFile
    from models.rendition import Rendition
    from models.scene import Scene, Shot
    from models.source_object import SourceObject
    from models.stage_run import StageRun

#: What full text looks for: words of the title weigh more than those of the description.
_WORDS: Final = (
    "setweight(to_tsvector('dailies'::regconfig, title), 'A') || "
    "setweight(to_tsvector('dailies'::regconfig, COALESCE(description, '')), 'B')"
)


class Video(Base):
    """One source version's life; overwriting the object makes another video."""

    __tablename__ = "video"

    id: Mapped[Id]
    owner_id: Mapped[str]

    title: Mapped[str]
    description: Mapped[str | None]
    file_name: Mapped[str | None]
    content_type: Mapped[str | None]
    #: Made by the database from title and description; never read, only searched.
    words: Mapped[str] = mapped_column(TSVECTOR, Computed(_WORDS, persisted=True), deferred=True)

    sha256: Mapped[str | None]
    size_bytes: Mapped[int | None]
    container: Mapped[str | None]
    duration_s: Mapped[Decimal | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    frame_rate: Mapped[str | None]
    video_codec: Mapped[str | None]
    audio_codec: Mapped[str | None]
    degraded: Mapped[list[str]] = mapped_column(server_default=text("'[]'::jsonb"), default=list)
    contact_sheet_key: Mapped[str | None]
    proxy_key: Mapped[str | None]

    status: Mapped[VideoStatus] = mapped_column(enum_by_value(VideoStatus, "status"))
    reject_reason: Mapped[str | None]
    reject_sentence: Mapped[str | None]
    error_stage: Mapped[str | None]
    error_class: Mapped[str | None]
    error_message: Mapped[str | None]
    error_fingerprint: Mapped[str | None]
    #: Token of the newest attempt; an older one's writes match no row.
    attempt: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    #: Prefect run that works or worked on this video.
    flow_run_id: Mapped[UUID | None]
    #: When the process of the newest attempt last gave a sign of life; NULL before the first attempt.
    alive_at: Mapped[dt.datetime | None]
    #: The newest attempt that gives signs of life: those of a release before this one give none.
    alive_attempt: Mapped[int | None]
    #: Crashed runs that resumed by themselves since a person last asked.
    auto_resumes: Mapped[int] = mapped_column(server_default=text("0"), default=0)
    #: When a rerun of a video that had ended was asked for, while that rerun has not ended.
    rerun_at: Mapped[dt.datetime | None]
    #: Earliest begin of its turn in a redrive, until it has had its turn.
    redrive_at: Mapped[dt.datetime | None]
    #: When leftovers of its dead attempts were last looked for.
    swept_at: Mapped[dt.datetime | None]

    #: Pieces of chunks may lie in the store; it has ended and needs them no more.
    has_chunks: Mapped[bool] = mapped_column(server_default=text("false"), default=False)

    created_at: Mapped[Created]
    updated_at: Mapped[dt.datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    indexed_at: Mapped[dt.datetime | None]

    source: Mapped["SourceObject | None"] = relationship(back_populates="video", lazy="raise")
    renditions: Mapped[list["Rendition"]] = relationship(lazy="raise", order_by="Rendition.height.desc()")
    files: Mapped[list["DerivedFile"]] = relationship(lazy="raise", order_by="DerivedFile.path")
    shots: Mapped[list["Shot"]] = relationship(lazy="raise", order_by="Shot.index")
    scenes: Mapped[list["Scene"]] = relationship(lazy="raise", order_by="Scene.index", back_populates="video")
    stage_runs: Mapped[list["StageRun"]] = relationship(lazy="raise", order_by="StageRun.started_at")

    __table_args__ = (
        CheckConstraint("(status = 'rejected') = (reject_reason IS NOT NULL)", name="reason_iff_rejected"),
        CheckConstraint("status <> 'failed' OR error_class IS NOT NULL", name="failed_has_error"),
        CheckConstraint("status <> 'indexed' OR indexed_at IS NOT NULL", name="indexed_has_time"),
        Index("ix_video_status_created", "status", "created_at"),
        Index("ix_video_owner_created", "owner_id", "created_at"),
        Index("ix_video_owner_status", "owner_id", "status"),
        Index("ix_video_words", "words", postgresql_using="gin"),
        Index("ix_video_has_chunks", "id", postgresql_where=text("has_chunks")),
        Index("ix_video_error_fingerprint", "error_fingerprint", postgresql_where=text("status = 'failed'")),
        Index("ix_video_rerun", "id", postgresql_where=text("rerun_at IS NOT NULL")),
        Index("ix_video_flow_run", "flow_run_id"),
        Index("ix_video_redrive", "redrive_at", postgresql_where=text("redrive_at IS NOT NULL")),
        Index("ix_video_swept", text("swept_at NULLS FIRST"), postgresql_where=text("attempt > 1")),
    )
