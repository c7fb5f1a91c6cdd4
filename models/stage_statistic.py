"""How long stages take and how they end, kept as they end: read by metrics and by estimates of work to come."""

import bisect
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ARRAY, BigInteger, Float, PrimaryKeyConstraint, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from core.stages import Stage
from models import counter
from models.base import Base, enum_by_value
from models.states import StageState

#: Upper bounds of the histogram's buckets, seconds; what took longer is in one more.
BOUNDS_S: Final = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0)

#: Counters of each encoder: videos that it embedded, and the milliseconds that they took.
_EMBEDDED: Final = "embedded_by_"
_EMBEDDED_MS: Final = "embedded_ms_by_"

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


class Noted(StrEnum):
    """What is only counted of an execution: no time is kept of it. The value begins the name of its counter."""

    #: It found the media bad: it did its work, and the uploader is told.
    REJECTED = "rejected"
    #: Its process ended without a word.
    ABANDONED = "abandoned"
    #: It was not the first one of its attempt.
    RETRIED = "retried"


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


class Note(BaseModel):
    """How many executions of a stage, or of one kind of its shares, one thing is known of."""

    model_config = ConfigDict(frozen=True)

    what: Noted
    stage: Stage
    part: str
    executions: int


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
            "part": _kind(part),
            "state": state.value,
            "seconds": seconds,
            "media_s": media_s,
            "buckets": buckets,
        },
    )


def note(session: Session, what: Noted, stage: Stage, part: str | None) -> None:
    """Count one more execution that this is known of."""
    counter.add(session, f"{what}:{stage}:{_kind(part)}", 1)


def notes(counters: Mapping[str, int]) -> Iterator[Note]:
    """Find what was noted among all counters."""
    for name, number in counters.items():
        what, _, rest = name.partition(":")
        if what in {*Noted}:
            stage, _, part = rest.partition(":")
            yield Note(what=Noted(what), stage=Stage(stage), part=part, executions=number)


def note_embedding(session: Session, encoder_id: int, seconds: float) -> None:
    """Count one video that was embedded by an encoder: networks differ too much for one mean of all.

    It makes other publications wait until this transaction ends: call it last.
    """
    for name, amount in ((_EMBEDDED, 1), (_EMBEDDED_MS, round(1000 * seconds))):
        counter.add(session, f"{name}{encoder_id}", amount)


def embedding_s(session: Session, encoder_id: int) -> float | None:
    """Give the mean seconds of a video in an encoder's space; None while it has embedded none."""
    videos = counter.values(session, _EMBEDDED).get(str(encoder_id))
    spent_ms = counter.values(session, _EMBEDDED_MS).get(str(encoder_id), 0)
    return spent_ms / 1000 / videos if videos else None


def _kind(part: str | None) -> str:
    return (part or "").partition(" ")[0]


def ended(session: Session) -> list[Ended]:
    """Give every sum; a few dozen rows however many videos there are."""
    rows = session.scalars(
        select(StageStatistic).order_by(StageStatistic.stage, StageStatistic.part, StageStatistic.state)
    )
    return [Ended.model_validate(row) for row in rows]
