"""How long stages take and how they end, kept as they end: read by metrics and by estimates of work to come."""

import bisect
from typing import Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ARRAY, BigInteger, Float, PrimaryKeyConstraint, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from core.stages import Stage
from models.base import Base, enum_by_value
from models.states import StageState

#: Upper bounds of the histogram's buckets, seconds; what took longer is in one more.
BOUNDS_S: Final = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0)

_ADD: Final = text(
    """
    INSERT INTO stage_statistic AS known (stage, part, state, runs, seconds, media_s, buckets)
    VALUES (:stage, :part, :state, 1, :seconds, :media_s, :buckets)
    ON CONFLICT (stage, part, state) DO UPDATE SET
        runs = known.runs + 1,
        seconds = known.seconds + excluded.seconds,
        media_s = known.media_s + excluded.media_s,
        buckets = (
            SELECT array_agg(one + more ORDER BY place)
            FROM unnest(known.buckets, excluded.buckets) WITH ORDINALITY AS both_of(one, more, place)
        )
    """
)


class StageStatistic(Base):
    """Executions of a stage, or of one kind of its shares, that ended alike."""

    __tablename__ = "stage_statistic"

    stage: Mapped[Stage] = mapped_column(enum_by_value(Stage, "stage"))
    #: Kind of share, such as "chunk"; empty for the stage itself.
    part: Mapped[str]
    state: Mapped[StageState] = mapped_column(enum_by_value(StageState, "state"))

    runs: Mapped[int] = mapped_column(BigInteger)
    #: Wall time of all of them together, and the media time in them where that is known.
    seconds: Mapped[float] = mapped_column(Float)
    media_s: Mapped[float] = mapped_column(Float)
    #: How many of them fell into each bucket (not cumulative); one more than BOUNDS_S.
    buckets: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))

    __table_args__ = (PrimaryKeyConstraint("stage", "part", "state"),)


class Ended(BaseModel):
    """Sums over executions that ended alike."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    stage: Stage
    part: str
    state: StageState
    runs: int
    seconds: float
    media_s: float
    buckets: tuple[int, ...]


def count(session: Session, stage: Stage, part: str | None, state: StageState, seconds: float, media_s: float) -> None:
    """Add one execution.

    Args:
        part: label of a share, such as "chunk 3": its kind is what is counted.
        seconds: wall time it took.
        media_s: seconds of media time in it; 0 where that means nothing.
    """
    buckets = [0] * (len(BOUNDS_S) + 1)
    buckets[bisect.bisect_left(BOUNDS_S, seconds)] = 1
    session.execute(
        _ADD,
        {
            "stage": stage.value,
            "part": (part or "").partition(" ")[0],
            "state": state.value,
            "seconds": seconds,
            "media_s": media_s,
            "buckets": buckets,
        },
    )


def ended(session: Session) -> list[Ended]:
    """Give every sum; a few dozen rows however many videos there are."""
    rows = session.scalars(
        select(StageStatistic).order_by(StageStatistic.stage, StageStatistic.part, StageStatistic.state)
    )
    return [Ended.model_validate(row) for row in rows]
