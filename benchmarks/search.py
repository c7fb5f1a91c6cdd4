"""Search in the database: speed and recall for owners of every size, beside an unfiltered walk of the same index.

    python -m benchmarks.search [--scenes 10000 100000 1000000] [--queries 100]

Starts a Postgres of its own in a temporary folder for each size. Wall times hold only on a machine that does nothing
else; the CPU time of the database's process holds on a shared one, too.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from benchmarks.search_rows import DIM, SHARES, Rows, fill, vectors_like_scenes
from core.settings import DatabaseSettings
from core.values import EncoderSpec
from deployments.embedded.postgres import embedded_postgres
from models import Encoder
from models.migrate import upgrade
from models.nearest import EF_SEARCH, nearest
from models.session import engine_for, transaction
from models.space_index import ensure_index

WANTED: Final = 10
RECALL_MUST: Final = 0.97
P50_MUST_MS: Final = 20.0
#: What an index of a million scenes is made with; the server's own default makes it several times slower.
BUILD: Final = "-c maintenance_work_mem=3GB -c max_parallel_maintenance_workers=2"


@dataclasses.dataclass(frozen=True)
class Measured:
    """One owner's row of the table; times in ms."""

    owner: str
    scenes: int
    p50: float
    p95: float
    cpu_p50: float
    recall: float
    #: Queries that gave fewer rows than there are.
    short: int


def cpu_ms(pid: int) -> float:
    """Read the time a process has been on a CPU (Linux)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def measure(
    session: Session, owner: str, rows: Rows, queries: NDArray[np.float32], ask: Callable[[Sequence[float]], list[UUID]]
) -> Measured:
    """Ask every query, the first of them once more to warm up, and compare with the exact answer."""
    mine = np.flatnonzero(rows.owners == owner) if owner else np.arange(len(rows.ids))
    best = np.argsort(-(rows.vectors[mine] @ queries.T), axis=0, kind="stable")[:WANTED].T
    pid = session.scalar(text("SELECT pg_backend_pid()")) or 0
    wall, cpu, found, short = [], [], 0, 0
    ask(queries[0].tolist())
    for query, right in zip(queries, best, strict=True):
        numbers = query.tolist()
        before, began = cpu_ms(pid), time.perf_counter()
        ids = ask(numbers)
        wall.append((time.perf_counter() - began) * 1000)
        cpu.append(cpu_ms(pid) - before)
        found += len({rows.ids[row] for row in mine[right]} & set(ids))
        short += len(ids) < min(WANTED, len(mine))
    return Measured(
        owner=owner or "everybody",
        scenes=len(mine),
        p50=statistics.median(wall),
        p95=float(np.quantile(wall, 0.95)),
        cpu_p50=statistics.median(cpu),
        recall=found / best.size,
        short=short,
    )


def unfiltered(session: Session, encoder: Encoder, numbers: Sequence[float]) -> list[UUID]:
    """Walk the index with no condition but the space: what a filter costs is measured against this."""
    session.execute(text(f"SELECT set_config('hnsw.ef_search', '{EF_SEARCH}', true)"))
    distance = f"vector::halfvec({DIM}) <#> (:vector)::halfvec({DIM})"
    near = f"SELECT scene_id, {distance} AS apart FROM scene_embedding WHERE encoder_id = {encoder.id} ORDER BY 2"
    query = f"""SELECT scene.id, title FROM ({near} LIMIT {WANTED}) AS near
        JOIN scene ON scene.id = near.scene_id JOIN video ON video.id = scene.video_id ORDER BY apart"""
    return [row[0] for row in session.execute(text(query), {"vector": str(list(numbers))})]


def run(scenes: int, queries: int, folder: Path) -> Iterator[Measured]:
    """Fill a database, make the index and measure; unfiltered first."""
    with embedded_postgres(folder / "postgres", durable=False) as url:
        settings = DatabaseSettings(url=f"{url}&options={quote(BUILD)}")
        engine = engine_for(settings)
        upgrade(engine)
        spec = EncoderSpec(name="synthetic", revision="1", dim=DIM, preprocess="none")
        began = time.perf_counter()
        with transaction(settings) as session:
            session.add(Encoder(**spec.model_dump(), is_active=True))
        rows = fill(settings, scenes)
        copied = time.perf_counter()
        with transaction(settings) as session:
            encoder = session.scalars(select(Encoder)).one()
        state = ensure_index(settings, encoder)
        made = time.perf_counter()
        print(
            f"\n{scenes:,} scenes: rows {copied - began:.0f} s, index {state} after {made - copied:.0f} s", flush=True
        )
        asked = vectors_like_scenes(np.random.default_rng(99), queries)
        with transaction(settings) as session:
            yield measure(session, "", rows, asked, lambda vector: unfiltered(session, encoder, vector))
        for owner in SHARES:
            with transaction(settings) as session:

                def ask(vector: Sequence[float], owner: str = owner, session: Session = session) -> list[UUID]:
                    hits = nearest(session, encoder, vector, owner_id=owner, limit=WANTED)
                    return [hit.scene_id for hit in hits]

                yield measure(session, owner, rows, asked, ask)
        engine.dispose()


def report(scenes: int, measured: Iterator[Measured]) -> bool:
    """Print one size's table; say whether it is good enough."""
    reference: Measured | None = None
    good = True
    for one in measured:
        if reference is None:
            reference = one
            print("| owner's share | scenes | p50 ms | p95 ms | CPU p50 ms | ratio of CPU | recall@10 | short |")
            print("|---|---|---|---|---|---|---|---|")
        else:
            good &= one.recall >= RECALL_MUST and not one.short
            good &= one.cpu_p50 <= P50_MUST_MS
        ratio = one.cpu_p50 / reference.cpu_p50
        print(
            f"| {one.owner} | {one.scenes:,} | {one.p50:.1f} | {one.p95:.1f} | {one.cpu_p50:.1f} | {ratio:.1f} "
            f"| {one.recall:.3f} | {one.short} |",
            flush=True,
        )
    print(f"{scenes:,} scenes: {'as it must be' if good else 'NOT as it must be'}", flush=True)
    return good


def main(arguments: Any = None) -> int:
    """Measure every size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search")
    parser.add_argument("--scenes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=100)
    chosen = parser.parse_args(arguments)
    good = True
    for scenes in chosen.scenes:
        with tempfile.TemporaryDirectory(prefix="dailies-bench-") as folder:
            good &= report(scenes, run(scenes, chosen.queries, Path(folder)))
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
