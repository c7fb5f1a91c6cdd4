"""Files that players ask for by a fixed path, as published."""

from uuid import UUID

from sqlalchemy import ForeignKey, PrimaryKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class DerivedFile(Base):
    """One path below a video's files, and the object that lies there now."""

    __tablename__ = "derived_file"

    video_id: Mapped[UUID] = mapped_column(ForeignKey("video.id", ondelete="CASCADE"))
    #: Such as master.m3u8; playlists name one another and their media by it.
    path: Mapped[str]
    key: Mapped[str]

    __table_args__ = (PrimaryKeyConstraint("video_id", "path"),)
