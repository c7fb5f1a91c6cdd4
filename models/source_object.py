"""The inbox: every version of every uploaded object, and the run that was asked for it."""

import datetime as dt
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.values import SourceVersion
from models.base import Base, Created, Id, enum_by_value
from models.states import Queue

if TYPE_CHECKING:
    from models.video import Video


class SourceObject(Base):
    """One source version; webhook, `upload/complete`, reconcile and the command line all upsert this row."""

    __tablename__ = "source_object"

    id: Mapped[Id]
    video_id: Mapped[UUID] = mapped_column(ForeignKey("video.id", ondelete="CASCADE"), unique=True)

    bucket: Mapped[str]
    key: Mapped[str]
    #: `SourceVersion.version`: the version id, or etag and time of the last change.
    version: Mapped[str]
    version_id: Mapped[str | None]
    etag: Mapped[str]
    last_modified: Mapped[dt.datetime]
    size_bytes: Mapped[int]

    seen_at: Mapped[Created]
    #: Work queue its first run goes to.
    queue: Mapped[Queue] = mapped_column(
        enum_by_value(Queue, "queue"), server_default=text("'uploads'"), default=Queue.UPLOADS
    )
    #: When Prefect accepted a run for it; NULL is what reconcile looks for.
    dispatched_at: Mapped[dt.datetime | None]

    video: Mapped["Video"] = relationship(back_populates="source", lazy="raise")

    __table_args__ = (
        UniqueConstraint("bucket", "key", "version"),
        Index("ix_source_object_undispatched", "seen_at", postgresql_where=text("dispatched_at IS NULL")),
    )

    def as_version(self) -> SourceVersion:
        """Give the value that tasks pass around."""
        return SourceVersion(
            bucket=self.bucket,
            key=self.key,
            version_id=self.version_id,
            etag=self.etag,
            last_modified=self.last_modified,
            size_bytes=self.size_bytes,
        )
