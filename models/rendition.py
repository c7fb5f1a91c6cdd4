"""A playable file made from a video."""

from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Created, Id


class Rendition(Base):
    """One rung's file, as published."""

    __tablename__ = "rendition"

    id: Mapped[Id]
    video_id: Mapped[UUID] = mapped_column(ForeignKey("video.id", ondelete="CASCADE"))

    name: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    size_bytes: Mapped[int]
    key: Mapped[str]
    fingerprint: Mapped[str]
    created_at: Mapped[Created]

    __table_args__ = (UniqueConstraint("video_id", "name"),)
