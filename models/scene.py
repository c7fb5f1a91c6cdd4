"""Shots as found, and the scenes made from them: the search result."""

from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.values import CutKind
from models.base import Base, Id, enum_by_value

if TYPE_CHECKING:
    from models.video import Video


class Shot(Base):
    """Frames between two cuts, half-open [start_s, end_s)."""

    __tablename__ = "shot"

    id: Mapped[Id]
    video_id: Mapped[UUID] = mapped_column(ForeignKey("video.id", ondelete="CASCADE"))

    index: Mapped[int]
    start_s: Mapped[Decimal]
    end_s: Mapped[Decimal]
    kind: Mapped[CutKind] = mapped_column(enum_by_value(CutKind, "kind"))
    confidence: Mapped[float]

    __table_args__ = (
        UniqueConstraint("video_id", "index"),
        CheckConstraint("end_s > start_s", name="not_empty"),
    )


class Scene(Base):
    """One or more shots with one meaning, half-open [start_s, end_s)."""

    __tablename__ = "scene"

    id: Mapped[Id]
    video_id: Mapped[UUID] = mapped_column(ForeignKey("video.id", ondelete="CASCADE"))
    owner_id: Mapped[str]

    index: Mapped[int]
    start_s: Mapped[Decimal]
    end_s: Mapped[Decimal]
    poster_key: Mapped[str | None]

    video: Mapped["Video"] = relationship(back_populates="scenes", lazy="raise")

    __table_args__ = (
        UniqueConstraint("video_id", "index"),
        CheckConstraint("end_s > start_s", name="not_empty"),
        Index("ix_scene_owner_id", "owner_id"),
    )
