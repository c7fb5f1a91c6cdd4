"""Counters that outlive processes, such as events that reconcile had to recover."""

from typing import Final

from sqlalchemy import delete, select, text
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


def values(session: Session, prefix: str) -> dict[str, int]:
    """Give the counters with a prefix, by what follows it."""
    found = session.scalars(select(Counter).where(Counter.name.startswith(prefix, autoescape=True)))
    return {row.name.removeprefix(prefix): row.value for row in found}


def take(session: Session, name: str, at_most: int) -> bool:
    """Raise a counter by one unless that would exceed a number; say whether it was raised.

    Those who count at the same time follow one another, so that all of them together stay within it.
    """
    statement = insert(Counter).values(name=name, value=1)
    raised = statement.on_conflict_do_update(
        index_elements=[Counter.name], set_={"value": Counter.value + 1}, where=Counter.value < at_most
    )
    return at_most > 0 and session.execute(raised.returning(Counter.value)).first() is not None


def forget_before(session: Session, prefix: str, name: str) -> None:
    """Remove the counters with a prefix whose names come before this one."""
    session.execute(delete(Counter).where(Counter.name.startswith(prefix, autoescape=True), Counter.name < name))
