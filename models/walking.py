"""Is walking a space's vector index worth it, and how far? What the walk needs of the session while it lasts."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from sqlalchemy import URL, Executable, Select, func, select, text, true
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement

from models.encoder import Encoder
from models.space_index import vectors_indexed

#: Candidates the index looks at before it gives the first rows, at least (`python -m benchmarks.search`;
#: docs/search.md), and at most: pgvector takes no more.
EF_SEARCH: Final = 600
MOST_IN_A_LOOK: Final = 1_000
#: Share, in percent, by which a look is larger than what is needed on average.
_MARGIN: Final = 150
#: Scenes that are compared one by one in the time in which the index walks past one (16 beside 0.8 microseconds).
SCENES_PER_STEP: Final = 20
#: Times `work_mem` that a walk may remember, so that it ends by its steps and not before.
MEMORY: Final = 8

_KNOWN_FOR_S: Final = 60
_MOST_KNOWN: Final = 10_000
#: Until when, vectors in the index, candidates: by database, space and owner.
_known: Final[dict[tuple[URL, int, str | None], tuple[float, int | None, int]]] = {}


class Walk(NamedTuple):
    """How far a walk may go, in scenes."""

    #: In its first look, which alone is sure to bring the nearest.
    look: int
    #: In all; 0 walks nowhere.
    most: int


def walk_worth(session: Session, encoder: Encoder, candidates: Select[Any], wanted: int, whole_of: str | None) -> Walk:
    """Give how many scenes a walk may pass before all candidates are compared instead; none where that is cheaper at once.

    A walk passes everybody else's scenes, too: to meet those wanted it takes as many steps more as the candidates are
    fewer than the whole space. One that gives up was in vain: it may cost as much as the scan that follows, and no more.
    The sizes are the planner's guess, and decide what a search costs, never what it finds.

    Args:
        whole_of: the owner all of whose scenes these are; their number is then kept for a minute.
    """
    indexed, expected = _sizes(session, encoder, candidates, whole_of)
    needed = wanted * (indexed or 0) // expected
    look = min(MOST_IN_A_LOOK, max(EF_SEARCH, needed * _MARGIN // 100))
    # What one look does not hold is walked from the start once more.
    steps = look + (needed if needed > look else 0)
    is_worth = indexed is not None and steps * SCENES_PER_STEP < expected
    return Walk(look, max(steps, expected // SCENES_PER_STEP) if is_worth else 0)


def _sizes(session: Session, encoder: Encoder, candidates: Select[Any], whole_of: str | None) -> tuple[int | None, int]:
    """Give about how many vectors the index holds, None without one, and how many candidates there are, at least 1."""
    key = (session.get_bind().engine.url, encoder.id, whole_of)
    if whole_of is not None and (kept := _known.get(key)) and kept[0] > time.monotonic():
        return kept[1:]
    indexed = vectors_indexed(session, encoder)
    expected = 1 if indexed is None else max(1, _rows_expected(session, candidates))
    if whole_of is not None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = (time.monotonic() + _KNOWN_FOR_S, indexed, expected)
    return indexed, expected


@contextmanager
def walking(session: Session, steps: int, *, look: int = EF_SEARCH) -> Iterator[None]:
    """Let the queries inside walk a vector index so far, `look` scenes in one look; afterwards all is as before."""
    inside = {
        "hnsw.ef_search": str(min(look, steps)),
        # One look alone brings the nearest; going on, and at its end all it has seen, brings whatever was on the way.
        "hnsw.iterative_scan": "relaxed_order" if steps > look else "off",
        "hnsw.max_scan_tuples": str(steps),
        "hnsw.scan_mem_multiplier": str(MEMORY),
        # A plan that sorts by distance reads every vector; only the index gives them in order.
        "enable_sort": "off",
    }
    before = _settings(session, inside)
    _set_for_transaction(session, inside)
    try:
        yield
    except DBAPIError:
        raise  # the settings are lost with the transaction
    except BaseException:
        _set_for_transaction(session, before)
        raise
    _set_for_transaction(session, before)


def _settings(session: Session, names: Iterable[str]) -> dict[str, str]:
    # The type's name loads pgvector, whose settings are unknown to a fresh connection.
    loaded = text("'[0]'::halfvec IS NOT NULL")
    return dict(
        session.execute(select(*(func.current_setting(name).label(name) for name in names)).where(loaded))
        .mappings()
        .one()
    )


def _set_for_transaction(session: Session, values: Mapping[str, str]) -> None:
    session.execute(select(*(func.set_config(name, value, true()) for name, value in values.items())))


class _Explained(Executable, ClauseElement):
    """A statement that is planned, and not run."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(_Explained)
def _explain(element: _Explained, compiler: SQLCompiler, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **options)}"


def _rows_expected(session: Session, statement: Select[Any]) -> int:
    """Give how many rows the planner expects of a statement: a look at its statistics, not at the rows."""
    told = session.connection().execute(_Explained(statement)).scalar_one()
    plan = json.loads(told) if isinstance(told, str) else told
    return int(plan[0]["Plan"]["Plan Rows"])
