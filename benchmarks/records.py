"""What videos leave in a database: rows and bytes of each of its tables, before and after."""

from typing import Final, NamedTuple

import psycopg
from psycopg import sql

#: Tables that grow by less than this share of a database's bytes are summed up.
SMALL: Final = 0.02


class Size(NamedTuple):
    """A table with its indexes."""

    rows: int
    #: On disk, indexes, long values and the room that dead rows take included.
    size_bytes: int


def table_sizes(database: str) -> dict[str, Size]:
    """Count the rows and bytes of every table."""
    tables = "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    found = {}
    with psycopg.connect(database) as session:
        for name, size_bytes in session.execute(tables).fetchall():
            counted = session.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()
            assert counted is not None
            found[name] = Size(counted[0], size_bytes)
    return found


def print_growth(title: str, before: dict[str, Size], after: dict[str, Size], videos: int) -> None:
    """Print what each video added, the tables that grew most first."""
    none = Size(0, 0)
    grown = {
        name: Size(*(new - old for new, old in zip(after[name], before.get(name, none), strict=True))) for name in after
    }
    total = Size(*(sum(column) for column in zip(*grown.values(), strict=True)))
    print(f"{title}: {total.rows / videos:.0f} rows and {total.size_bytes / videos:,.0f} bytes a video, of {videos}")
    large = {name: size for name, size in grown.items() if size.size_bytes > SMALL * total.size_bytes}
    for name, size in sorted(large.items(), key=lambda one: -one[1].size_bytes):
        print(f"  {name:<28}{size.rows / videos:>8.1f}{size.size_bytes / videos:>12,.0f}")
    print(f"  {'all others':<28}", end="")
    print(f"{(total.rows - sum(size.rows for size in large.values())) / videos:>8.1f}", end="")
    print(f"{(total.size_bytes - sum(size.size_bytes for size in large.values())) / videos:>12,.0f}", flush=True)
