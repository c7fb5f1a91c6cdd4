"""Counters that outlive processes, such as events that reconcile had to recover."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base

#: Begins the names of what reconcile, settle and redrives did.
SET_RIGHT: Final = "recovered_"
#: Of these, what would have been lost without them; the others are upkeep.
RECOVERIES: Final = frozenset({"unannounced", "dispatched", "requested", "resumed"})


class Counter(Base):
    """A number that only grows."""

    __tablename__ = "counter"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(server_default=text("0"))


def add(session: Session, name: str, amount: int) -> None:
    """Raise a counter; nothing is written for zero."""
    if amount:
        statement = insert(Counter).values(name=name, value=amount)
        session.execute(
            statement.on_conflict_do_update(index_elements=[Counter.name], set_={"value": Counter.value + amount})
        )
