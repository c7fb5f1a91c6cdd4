"""A seeded campaign: uploads and faults side by side, then the accounts: nothing missing, nothing twice, nothing left."""

import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from deployments.embedded import stack
from dispatch.leftovers import sweep_leftovers
from models import Video
from models.reconciling import files_in_rows
from models.session import transaction
from storage.records import named_files
from tests.chaos.faults import KINDS
from tests.chaos.rig import Rig, make_clip, rig, soon

#: One upload in so many is no film at all.
BAD_EVERY = 8
ENDED = ("indexed", "rejected", "failed")
#: Automatic resumes wait up to two minutes, and a lost worker is noticed after 90 s.
SETTLE_WITHIN_S = 600.0


@dataclass
class Tally:
    """What was done and what came of it."""

    seed: int
    uploaded: dict[str, bool] = field(default_factory=dict)  # key -> whether it is a film
    hits: Counter[str] = field(default_factory=Counter)
    misses: Counter[str] = field(default_factory=Counter)
    failed_uploads: int = 0
    statuses: Counter[str] = field(default_factory=Counter)  # before anything is redriven
    in_the_end: Counter[str] = field(default_factory=Counter)  # with the one film more that `close` ingests
    redriven: int = 0
    resumed: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def success(self) -> float:
        done = len(self.uploaded) + self.hits.total()
        return done / max(1, done + self.failed_uploads + self.misses.total())

    def table(self) -> str:
        """Say everything in a table."""
        rows = [f"{'fault':<30} {'hit':>4} {'no target':>10}"]
        rows += [
            f"{name:<30} {self.hits[name]:>4} {self.misses[name]:>10}" for name in sorted({*self.hits, *self.misses})
        ]
        rows += [
            f"{len(self.hits)} kinds, {self.hits.total()} faults; {self.statuses.total()} uploads: {dict(self.statuses)}",
            f"after the redrive, and one film more in peace: {dict(self.in_the_end)}",
            f"attempts beyond the first {self.resumed}, of them redriven {self.redriven}",
            f"{100 * self.success:.1f} % of operations succeeded; {self.seconds:.0f} s; seed {self.seed}",
        ]
        return "\n".join([*rows, *(f"PROBLEM: {problem}" for problem in self.problems)])


def run(
    seed: int,
    *,
    minutes: float,
    uploads: int,
    faults: int,
    kinds: Sequence[str] = tuple(sorted(KINDS)),
    settle_s: float = SETTLE_WITHIN_S,
) -> Tally:
    """Run one campaign on a stack of its own; every wait in it has a deadline."""
    tally, chance = Tally(seed), random.Random(seed)
    began = time.monotonic()
    surroundings = {"DAILIES_SERVICE__RECONCILE_EVERY": "PT20S", "DAILIES_WORKFLOW__BACKFILLS_AT_ONCE": "4"}
    with rig(surroundings) as running, tempfile.TemporaryDirectory() as folder:
        due = threading.Semaphore(0)
        kinds = [name for name in kinds if running.small_scratch or name != "fill the scratch disk"]
        if not running.small_scratch:
            print("left out: fill the scratch disk (making a small one needs the right to mount)", flush=True)
        feeder = threading.Thread(target=feed, args=(running, tally, Path(folder), uploads, due, seed), daemon=True)
        feeder.start()
        harm(running, tally, chance, kinds, faults, uploads, due, time.monotonic() + minutes * 60)
        feeder.join(300)
        settle(running, tally, settle_s)
        close(running, tally, Path(folder))
        account(running, tally)
        if report(tally):
            print(parts_of_stack(running), flush=True)
    tally.seconds = time.monotonic() - began
    return tally


def feed(running: Rig, tally: Tally, folder: Path, uploads: int, due: threading.Semaphore, seed: int) -> None:
    """Upload as a patient client does: again, until the store says yes."""
    chance = random.Random(seed + 1)
    for number in range(uploads):
        bad = number % BAD_EVERY == BAD_EVERY - 1
        path = folder / f"bad-{number:04}.mp4" if bad else make_clip(folder, number, chance.uniform(1.0, 2.0))
        if bad:
            path.write_bytes(f"no film, number {number}. ".encode() * 50)
        due.acquire()
        try:
            running.patiently(lambda path=path: running.live.put(path))  # type: ignore[misc]
            tally.uploaded[path.name] = not bad
        except Exception as error:  # noqa: BLE001 - it is counted
            tally.failed_uploads += 1
            tally.problems.append(f"upload {path.name}: {error}")
        path.unlink()


def harm(
    running: Rig,
    tally: Tally,
    chance: random.Random,
    kinds: Sequence[str],
    faults: int,
    uploads: int,
    due: threading.Semaphore,
    end: float,
) -> None:
    """Do every kind of fault in turn, in an order made by chance; uploads come with them, so that each has a target."""
    order: list[str] = []
    asked = 0
    for number in range(faults):
        if time.monotonic() > end:
            break
        order = order or chance.sample(kinds, len(kinds))
        name = order.pop()
        share = round(uploads * (number + 1) / faults) - asked
        due.release(share) if share else None
        asked += share
        began = time.monotonic()
        hit = KINDS[name](running, chance)
        (tally.hits if hit else tally.misses)[name] += 1
        print(f"{name}: {'hit' if hit else 'no target'}", flush=True)
        pause = max(0.0, end - time.monotonic()) / (faults - number)
        time.sleep(max(0.0, min(10.0, pause) * chance.uniform(0.5, 1.0) - (time.monotonic() - began)))
    due.release(max(1, uploads - asked))


def videos(running: Rig) -> list[dict[str, Any]]:
    columns = ("id", "file_name", "status", "error_class", "error_message", "attempt")
    rows = running.rows(f"SELECT id::text, {', '.join(columns[1:])} FROM video")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def settle(running: Rig, tally: Tally, settle_s: float) -> None:
    """Wait until everything has ended, then redrive what failed, until nothing has."""
    end = time.monotonic() + settle_s
    soon(running.is_whole, 120)

    def ended() -> bool:
        found = {video["file_name"]: video["status"] for video in videos(running)}
        return tally.uploaded.keys() <= found.keys() and set(found.values()) <= set(ENDED)

    for _ in range(4):
        soon(ended, max(0.0, end - time.monotonic()), every_s=1.0)
        if not tally.statuses:
            tally.statuses = Counter(video["status"] for video in videos(running))
        if not failed(running):
            return
        asked = redrive(running)
        tally.redriven += len(asked)
        # They get their turns a few at a time; a video says failed until its run begins.
        soon(lambda: not in_line(running), max(60.0, end - time.monotonic()), every_s=0.5)


def redrive(running: Rig) -> set[str]:
    """As `dailies rerun --failed` does; give the ids of the videos."""
    body = {"status": "failed", "per_minute": 600}
    answer = running.patiently(lambda: running.live.service.post("/redrive", json=body).raise_for_status())
    return set(answer.json()["video_ids"])


def in_line(running: Rig) -> int:
    return int(running.rows("SELECT count(*) FROM video WHERE redrive_at IS NOT NULL")[0][0])


def close(running: Rig, tally: Tally, folder: Path) -> None:
    """Ingest one film more in peace: an attempt that begins removes what dead ones left in scratch."""
    path = make_clip(folder, 9_999, 1.0)
    running.patiently(lambda: running.live.put(path))
    tally.uploaded[path.name] = True
    soon(lambda: any(video["file_name"] == path.name and video["status"] in ENDED for video in videos(running)), 240)


def failed(running: Rig) -> set[str]:
    return {video["id"] for video in videos(running) if video["status"] == "failed"}


def account(running: Rig, tally: Tally) -> None:
    """Hold what is there against what was uploaded."""
    found = videos(running)
    by_name = Counter(video["file_name"] for video in found)
    tally.in_the_end = Counter(video["status"] for video in found)
    missing = tally.uploaded.keys() - by_name.keys()
    tally.problems += [f"missing: {name}" for name in missing]
    tally.problems += [f"twice: {name}" for name, number in by_name.items() if number > 1]
    for video in found:
        wanted = "indexed" if tally.uploaded.get(video["file_name"]) else "rejected"
        if video["status"] != wanted:
            tally.problems.append(
                f"{video['file_name']} is {video['status']}: {video['error_class']} {video['error_message']}"
            )
    left = soon(lambda: not running.flows() or None, 60)
    tally.problems += [] if left else [f"flow processes that do not end: {running.flows()}"]
    tally.problems += orphans(running, {video["id"] for video in found})
    tally.problems += [f"left in scratch: {path}" for path in running.scratch.glob("*/*")]
    tally.problems += [f"left in scratch: {path}" for path in running.scratch.glob("*")]
    tally.problems += rows_that_name_nothing(running)
    tally.problems += runs_that_do_not_end(running)
    running_rows = running.rows(
        "SELECT count(*) FROM stage_run s JOIN video v ON v.id = s.video_id "
        "WHERE s.state = 'running' AND v.status IN ('indexed', 'rejected')"
    )[0][0]
    incomplete = running.rows(
        "SELECT count(*) FROM video v WHERE status = 'indexed' AND NOT EXISTS "
        "(SELECT 1 FROM scene s JOIN scene_embedding e ON e.scene_id = s.id WHERE s.video_id = v.id)"
    )[0][0]
    tally.resumed = running.rows("SELECT coalesce(sum(greatest(attempt - 1, 0)), 0)::int FROM video")[0][0]
    tally.problems += [f"{running_rows} ledger rows say running"] * bool(running_rows)
    tally.problems += [f"{incomplete} indexed videos have no vectors"] * bool(incomplete)


def orphans(running: Rig, ids: set[str]) -> list[str]:
    """Sweep as reconcile does, as often as it takes, then look for objects that nobody names."""
    while sweep_leftovers(running.live.settings).files:
        pass
    store, bucket = running.live.store, running.live.settings.storage.derived_bucket
    keys = {item.key for item in store.list(bucket)}
    records = {key for key in keys if key.endswith("/result.json")}
    named = records | {file.key for record in records for file in named_files(store.read(bucket, record))}
    problems = [f"orphan object {key}" for key in sorted(keys - named)[:5]]
    problems += [f"missing object {key}" for key in sorted(named - keys)[:5]]
    problems += [f"objects of an unknown video {key}" for key in keys if key.split("/")[0] not in ids][:5]
    return problems


#: What may never be in the records once everything has ended.
NEVER = {
    "uploads without a run": "SELECT count(*) FROM source_object WHERE dispatched_at IS NULL",
    "reruns that nobody follows": "SELECT count(*) FROM video WHERE rerun_at IS NOT NULL OR redrive_at IS NOT NULL",
    "scenes without a vector": "SELECT count(*) FROM scene s WHERE NOT EXISTS "
    "(SELECT 1 FROM scene_embedding e WHERE e.scene_id = s.id)",
    "rows of videos that are not indexed": "SELECT count(*) FROM video v WHERE status <> 'indexed' AND ("
    "EXISTS (SELECT 1 FROM scene s WHERE s.video_id = v.id) OR "
    "EXISTS (SELECT 1 FROM rendition r WHERE r.video_id = v.id) OR "
    "EXISTS (SELECT 1 FROM shot t WHERE t.video_id = v.id))",
}


def rows_that_name_nothing(running: Rig) -> list[str]:
    """Look for rows that belong to nothing, and for files that rows name and the store does not have."""
    problems = [f"{count} {what}" for what, query in NEVER.items() if (count := running.rows(query)[0][0])]
    with transaction(running.live.settings.database) as session:
        named = {key for video_id in session.scalars(select(Video.id)) for key in files_in_rows(session, video_id)}
    there = {item.key for item in running.live.store.list(running.live.settings.storage.derived_bucket)}
    return [*problems, *(f"a row names {key}, which is not there" for key in sorted(named - there)[:5])]


def runs_that_do_not_end(running: Rig) -> list[str]:
    """Look in Prefect for runs of videos that are still on their way, and for videos with two of them."""
    asked = {"flows": {"name": {"any_": ["ingest-video"]}}, "limit": 200}
    runs = [
        run
        for offset in range(0, 2_000, 200)
        for run in running.live.prefect.post("/flow_runs/filter", json={**asked, "offset": offset})
        .raise_for_status()
        .json()
    ]
    ended = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}
    by_video = Counter(run["parameters"]["video_id"] for run in runs)
    problems = [f"run {run['name']} is {run['state_name']}" for run in runs if run["state_type"] not in ended]
    return [*problems, *(f"video {video} has {number} runs" for video, number in by_video.items() if number > 1)]


def report(tally: Tally, *, uploads: int = 0, faults: int = 0, kinds: int = 0) -> list[str]:
    """Give what keeps a campaign from passing.

    Args:
        uploads, faults, kinds: how many there must have been; of faults and their kinds those that hit something.
    """
    short = [] if tally.success >= 0.9 else [f"only {100 * tally.success:.0f} % of operations succeeded"]
    wanted = {"uploads": uploads, "faults": faults, "kinds of fault": kinds}
    done = {"uploads": len(tally.uploaded), "faults": tally.hits.total(), "kinds of fault": len(+tally.hits)}
    short += [f"only {done[what]} {what}, {least} wanted" for what, least in wanted.items() if done[what] < least]
    return [*tally.problems, *short]


def parts_of_stack(running: Rig) -> str:
    """Say how each part is, for a campaign that went wrong."""
    return "\n".join(f"{part.name} {part.state} restarts={part.restarts}" for part in stack.status(running.data).parts)
