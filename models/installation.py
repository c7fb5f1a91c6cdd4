"""When this installation began, and what a person allowed it to do with what was there before."""

import datetime as dt

from sqlalchemy import CheckConstraint, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Created


class Installation(Base):
    """The one row about the installation itself."""

    __tablename__ = "installation"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default=text("1"), autoincrement=False)
    #: Objects older than this were in the bucket before Dailies was.
    installed_at: Mapped[Created]
    #: When a person asked for the older objects to be ingested too; NULL only counts them.
    adopted_at: Mapped[dt.datetime | None]

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)
