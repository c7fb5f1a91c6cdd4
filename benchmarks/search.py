"""A search's first page in the database: speed and recall for owners of every size, with and without filters.

    python -m benchmarks.search [--scenes 10000 100000 1000000] [--queries 100] [--folder FOLDER]

What the service asks for a first page: the nearest scenes, as many as it looks at first, their vectors, and the videos
that say the words. Beside it stands what no search asks, to compare with: a walk of the index for everybody's scenes,
unfiltered. Starts a Postgres of its own for each size, in a temporary folder, or in FOLDER, where it stays and
is used again. Wall times hold only on a machine that does nothing else.
"""

import argparse
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import cast, select, text
from sqlalchemy.orm import Session

from benchmarks.search_rows import BOUND_SHARES, DIM, SCENES_PER_VIDEO, SHARES, Rows, draw, fill, vectors_like_scenes
from core.settings import DatabaseSettings
from core.values import EncoderSpec
from deployments.embedded.postgres import embedded_postgres
from models import Encoder, SceneEmbedding
from models.best_scenes import vectors_of
from models.migrate import upgrade
from models.nearest import EVERY_SCENE, SceneFilters, SceneHit, distance, hits_of, nearest
from models.session import engine_for, transaction
from models.space_index import ensure_index
from models.walking import EF_SEARCH, walking
from models.words import videos_saying
from service.finding import DEPTHS, VIDEOS_SAYING

#: Queries asked once more, before any is measured.
WARM_UP: Final = 20
#: Hits whose recall counts; the page is found among so many.
WANTED: Final = 10
DEPTH: Final = DEPTHS[0]
RECALL_MUST: Final = 0.97
P50_MUST_MS: Final = 20.0
#: Said by no title: what most pictures that are searched for have in common.
WORDS: Final = "harbour at night"
#: Filters, each with the scenes it keeps, which are asked for in the name of the largest owner.
FILTERS: Final[dict[str, tuple[SceneFilters, Callable[[Rows], NDArray[np.bool_]]]]] = {
    "half of the videos, by length": (SceneFilters(duration_from_s=500), lambda rows: rows.lengths_s >= 500),
    "1 % of the videos, by length": (SceneFilters(duration_from_s=990), lambda rows: rows.lengths_s >= 990),
    "the first second": (SceneFilters(time_to_s=1), lambda rows: np.arange(len(rows.ids)) % SCENES_PER_VIDEO == 0),
}
LARGEST: Final = "50 %"
EVERYBODY: Final = "everybody's, unfiltered"


@dataclasses.dataclass(frozen=True)
class Measured:
    """One row of the table; times in ms."""

    name: str
    scenes: int
    p50: float
    p95: float
    cpu_p50: float
    recall: float
    #: Queries that gave fewer rows than there are.
    short: int
    is_filtered: bool

    @property
    def is_good(self) -> bool:
        """Say whether it is as it must be; what a filter costs is told, and not judged."""
        return self.recall >= RECALL_MUST and not self.short and (self.is_filtered or self.p50 <= P50_MUST_MS)

    def row(self, unfiltered: float) -> str:
        """Write it as a row of the table, beside the p50 of the unfiltered query of the same run."""
        figures = (
            f"{self.p50:.1f} | {self.p95:.1f} | {self.p50 / unfiltered:.2f} | {self.cpu_p50:.1f} | {self.recall:.3f}"
        )
        return f"| {self.name} | {self.scenes:,} | {figures} | {self.short} |"


def cpu_ms(pid: int) -> float:
    """Read the time a process has been on a CPU (Linux)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def first_page(
    session: Session, encoder: Encoder, vector: Sequence[float], owner_id: str, filters: SceneFilters
) -> list[UUID]:
    """Ask what `service.finding` asks for a first page; of EVERYBODY, the index alone in the place of the nearest."""
    if owner_id == EVERYBODY:
        hits = nearest_of_all(session, encoder, vector)
    else:
        hits = nearest(session, encoder, vector, owner_id=owner_id, filters=filters, limit=DEPTH)
    videos_saying(session, WORDS, owner_id=owner_id, where=filters.of_video(), limit=VIDEOS_SAYING)
    vectors_of(session, encoder, [hit.scene_id for hit in hits])
    return [hit.scene_id for hit in hits]


def nearest_of_all(session: Session, encoder: Encoder, vector: Sequence[float]) -> list[SceneHit]:
    """Walk the index for the nearest scenes, whoever owns them."""
    apart = distance(encoder, cast(SceneEmbedding.vector, HALFVEC(encoder.dim)), vector)
    of_space = select(SceneEmbedding.scene_id, apart).where(SceneEmbedding.encoder_id == encoder.id)
    with walking(session, EF_SEARCH, look=EF_SEARCH):
        return hits_of(session, of_space.order_by("apart").limit(DEPTH).subquery("best"))


def measure(
    settings: DatabaseSettings, encoder: Encoder, rows: Rows, queries: NDArray[np.float32], owner: str, filtered: str
) -> Measured:
    """Ask every query, some of them once more to warm up, and compare with the exact answer."""
    filters, keeps = FILTERS[filtered] if filtered else (EVERY_SCENE, None)
    is_mine = np.ones(len(rows.ids), dtype=bool) if owner == EVERYBODY else rows.owners == owner
    mine = np.flatnonzero(is_mine & (keeps(rows) if keeps else True))
    best = np.argsort(-(rows.vectors[mine] @ queries.T), axis=0, kind="stable")[:WANTED].T
    wall, cpu, found, short = [], [], 0, 0
    with transaction(settings) as session:
        pid = session.scalar(text("SELECT pg_backend_pid()")) or 0
        for query in queries[:WARM_UP]:
            first_page(session, encoder, query.tolist(), owner, filters)
        for query, right in zip(queries, best, strict=True):
            numbers = query.tolist()
            before, began = cpu_ms(pid), time.perf_counter()
            ids = first_page(session, encoder, numbers, owner, filters)
            wall.append((time.perf_counter() - began) * 1000)
            cpu.append(cpu_ms(pid) - before)
            found += len({rows.ids[row] for row in mine[right]} & set(ids[:WANTED]))
            short += len(ids) < min(DEPTH, len(mine))
    return Measured(
        name=f"{owner}, {filtered}" if filtered else owner,
        scenes=len(mine),
        p50=statistics.median(wall),
        p95=float(np.quantile(wall, 0.95)),
        cpu_p50=statistics.median(cpu),
        recall=found / best.size,
        short=short,
        is_filtered=bool(filtered),
    )


def run(scenes: int, queries: int, folder: Path) -> Iterator[Measured]:
    """Fill a database and make its index, where that is not done yet, and measure."""
    asked = vectors_like_scenes(np.random.default_rng(99), queries)
    rows = draw(scenes)
    with embedded_postgres(folder / "postgres", durable=False) as url:
        settings = DatabaseSettings(url=url)
        upgrade(engine_for(settings))
        encoder = _made(settings, rows)
        for owner in (EVERYBODY, *(SHARES | BOUND_SHARES)):
            yield measure(settings, encoder, rows, asked, owner, "")
        for filtered in FILTERS:
            yield measure(settings, encoder, rows, asked, LARGEST, filtered)
        engine_for(settings).dispose()


def _made(settings: DatabaseSettings, rows: Rows) -> Encoder:
    """Give the space, filled and with its index."""
    began = time.perf_counter()
    with transaction(settings) as session:
        encoder = session.scalars(select(Encoder)).one_or_none()
    if encoder is None:
        spec = EncoderSpec(name="synthetic", revision="1", dim=DIM, preprocess="none")
        with transaction(settings) as session:
            encoder = Encoder(**spec.model_dump(), is_active=True)
            session.add(encoder)
        fill(settings, rows)
    copied = time.perf_counter()
    state = ensure_index(settings, encoder)
    made = time.perf_counter() - copied
    print(f"\n{len(rows.ids):,} scenes: rows {copied - began:.0f} s, index {state} after {made:.0f} s", flush=True)
    return encoder


def report(scenes: int, measured: Iterator[Measured]) -> bool:
    """Print one size's table; say whether it is good enough."""
    unfiltered = next(measured)
    print("| owner's share | scenes | p50 ms | p95 ms | of unfiltered p50 | CPU p50 ms | recall@10 | short |")
    print("|---|---|---|---|---|---|---|---|")
    print(unfiltered.row(unfiltered.p50), flush=True)
    good = True
    for one in measured:
        good &= one.is_good
        print(one.row(unfiltered.p50), flush=True)
    print(f"{scenes:,} scenes: {'as it must be' if good else 'NOT as it must be'}", flush=True)
    return good


def main(arguments: Any = None) -> int:
    """Measure every size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search")
    parser.add_argument("--scenes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--folder", type=Path, help="keep the databases here, and use them again")
    chosen = parser.parse_args(arguments)
    good = True
    for scenes in chosen.scenes:
        with tempfile.TemporaryDirectory(prefix="dailies-bench-") as scratch:
            folder = (chosen.folder or Path(scratch)) / str(scenes)
            folder.mkdir(parents=True, exist_ok=True)
            good &= report(scenes, run(scenes, chosen.queries, folder))
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
