"""A second encoder's space is filled while uploads arrive: they do not wait, no source is read, kills cost nothing."""

import datetime as dt
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.settings import EncoderSettings
from encoders.catalog import spec_for
from models import spaces
from models.session import transaction
from tests.chaos.rig import Rig, make_clip, rig, soon
from tests.tiny_checkpoints import save_clip

#: How many times the idle figure an upload's first task may take while a backfill runs (p95 of both).
MOST_TIMES = 2.0
#: Seconds between two uploads beside the backfill.
EVERY_S = 4.0
#: Share of the backfill that is done when the process is killed that works through its list, and when one that fills
#: the space for a video is. Nobody starts the list again after the last one.
KILLS_AT = (0.2, 0.5)
EMBED_KILLS_AT = (0.1, 0.35, 0.75)
#: What is to become of a run whose process was killed.
RESUMED = "resumed and completed"
BODY = {"stage": "embed", "per_minute": 600, "daily_budget": 1_000_000, "dry_run": False}


@dataclass
class Figures:
    """What was seen."""

    videos: int
    idle_s: list[float] = field(default_factory=list)
    busy_s: list[float] = field(default_factory=list)
    kills: int = 0
    #: Runs whose process was killed while it filled the space for a video, with what became of each.
    embed_kills: dict[str, str] = field(default_factory=dict)
    took_s: float = 0.0
    coverage: dict[str, Any] = field(default_factory=dict)
    #: Runs of videos that Prefect shows as failed or crashed in the end.
    failures: int = 0

    @property
    def times(self) -> float:
        return p95(self.busy_s) / p95(self.idle_s)

    def problems(self) -> list[str]:
        """Give what keeps it from passing."""
        row = self.coverage
        found = [] if self.kills == len(KILLS_AT) else [f"only {self.kills} kills"]
        lost = [f"run {run_id}: {end}" for run_id, end in self.embed_kills.items() if end != RESUMED]
        found += [f"only {len(self.embed_kills)} kills of a video's run"] * (
            len(self.embed_kills) < len(EMBED_KILLS_AT)
        )
        found += lost
        found += [] if row["produced"] == row["videos"] else [f"coverage: {row}"]
        found += [f"{self.failures} runs failed"] * bool(self.failures)
        found += [] if self.times <= MOST_TIMES else [f"uploads took {self.times:.2f} times the idle figure"]
        return found

    def table(self) -> str:
        """Say everything."""
        return "\n".join(
            [
                (
                    f"{self.videos + len(self.idle_s)} videos embedded by a second encoder in {self.took_s:.0f} s, the sources of {self.videos} gone; "
                    f"its list killed {self.kills} times, a video's run {len(self.embed_kills)} times; {self.coverage['produced']} of {self.coverage['videos']} covered"
                ),
                (
                    f"upload seen -> first task: idle median {statistics.median(self.idle_s):.2f} s, "
                    f"p95 {p95(self.idle_s):.2f} s ({len(self.idle_s)} uploads)"
                ),
                (
                    f"beside the backfill: median {statistics.median(self.busy_s):.2f} s, p95 {p95(self.busy_s):.2f} s "
                    f"({len(self.busy_s)} uploads): {self.times:.2f} times"
                ),
            ]
        )


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def measure(videos: int, uploads: int = 12) -> Figures:
    """Run it on a stack of its own; every wait has a deadline."""
    figures = Figures(videos)
    with rig() as running, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ingest(running, folder, videos)
        figures.idle_s = [first_task_s(running, folder, 5_000 + number) for number in range(uploads)]
        print(f"idle: {', '.join(f'{each:.1f}' for each in figures.idle_s)} s", flush=True)
        open_space(running, folder)
        for number in range(videos):
            running.live.store.delete(running.live.settings.storage.uploads_bucket, f"clip-{number:04}.mp4")
        began = time.monotonic()
        run_id = start(running)
        number = 0
        # Films that arrive meanwhile are embedded by both encoders when they are ingested: they count, too.
        while (row := produced(running))["produced"] < row["videos"]:
            done = row["produced"] - len(figures.busy_s)
            if figures.kills < len(KILLS_AT) and done >= KILLS_AT[figures.kills] * videos:
                figures.kills += kill(running, run_id)
                run_id = start(running)
            killed = len(figures.embed_kills)
            if killed < len(EMBED_KILLS_AT) and done >= EMBED_KILLS_AT[killed] * videos and (one := kill_one(running)):
                figures.embed_kills[one] = ""
            if number < uploads * 4 and done < videos + len(figures.idle_s):
                figures.busy_s.append(first_task_s(running, folder, 6_000 + number))
            number += 1
            print(
                f"{done} of {videos + len(figures.idle_s)} embedded, {len(figures.busy_s)} uploads beside it, "
                f"the last began after {figures.busy_s[-1]:.1f} s; kills: {figures.kills} and {len(figures.embed_kills)}",
                flush=True,
            )
            if time.monotonic() - began > 60 + 30 * videos:
                break
            time.sleep(EVERY_S)
        soon(lambda: produced(running)["produced"] == produced(running)["videos"], 120, every_s=1)
        figures.took_s = time.monotonic() - began
        figures.coverage = produced(running)
        figures.embed_kills = {one: end_of(running, one) for one in figures.embed_kills}
        figures.failures = failed_runs(running)
    return figures


def ingest(running: Rig, folder: Path, videos: int) -> None:
    """Have so many clips indexed."""
    for number in range(videos):
        path = make_clip(folder, number, 1.0)
        running.live.put(path)
        path.unlink()
    soon(lambda: status_counts(running).get("indexed", 0) == videos, 60 + 20 * videos, every_s=1)
    assert status_counts(running) == {"indexed": videos}, status_counts(running)


def status_counts(running: Rig) -> dict[str, int]:
    return dict(running.rows("SELECT status, count(*)::int FROM video GROUP BY 1"))


def first_task_s(running: Rig, folder: Path, number: int) -> float:
    """Upload one more clip; give the seconds from when it was seen to its first task."""
    path = make_clip(folder, number, 1.0)
    running.live.put(path)
    seen = (
        "SELECT s.seen_at, v.flow_run_id::text FROM source_object s JOIN video v ON v.id = s.video_id WHERE s.key = %s"
    )

    def first() -> dt.datetime | None:
        rows = running.rows(seen, path.name)
        tasks = running.live.task_runs(rows[0][1]) if rows and rows[0][1] else []
        return dt.datetime.fromisoformat(tasks[0]["start_time"]) if tasks and tasks[0]["start_time"] else None

    began = soon(first, 120)
    assert began is not None, f"no task of {path.name} began"
    return (began - running.rows(seen, path.name)[0][0]).total_seconds()


def open_space(running: Rig, folder: Path) -> None:
    """Make the space of a second encoder, of another dimension."""
    encoder = EncoderSettings(name=str(save_clip(folder / "second", dim=16)), device="cpu", canaries=False)
    with transaction(running.live.settings.database) as session:
        spaces.register(session, spec_for(encoder), encoder.name)


def start(running: Rig) -> str:
    """Start the backfill as `dailies backfill` does; give its run."""
    body = BODY | {"space": "second"}
    answer = running.patiently(lambda: running.live.service.post("/backfill", json=body).raise_for_status()).json()
    return str(answer["run_url"]).rsplit("/", 1)[-1] if answer["run_url"] else ""


def kill(running: Rig, run_id: str) -> bool:
    """Kill the process that works through the list."""
    process = soon(lambda: running.live.flow_process(run_id), 60)
    if process is None:
        return False
    process.kill()
    return True


def kill_one(running: Rig) -> str | None:
    """Kill the process that fills the space for some video; give its run."""
    wanted = {"flows": {"name": {"any_": ["embed-video"]}}, "flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}

    def one() -> str | None:
        for run in running.live.prefect.post("/flow_runs/filter", json=wanted).raise_for_status().json():
            if process := running.live.flow_process(run["id"]):
                process.suspend()  # so that it does not end between the question and the kill
                if running.live.run(run["id"])["state"]["type"] == "RUNNING":
                    process.kill()
                    return str(run["id"])
                process.resume()
        return None

    return soon(one, 60)


def end_of(running: Rig, run_id: str) -> str:
    """Wait for the end of a run that was killed, and tell it."""

    def ended() -> str | None:
        run = running.live.run(run_id)
        if run["state"]["type"] != "COMPLETED":
            return None
        return RESUMED if run["run_count"] > 1 else "completed by a process that was dead"

    return soon(ended, 120, every_s=1) or str(running.live.run(run_id)["state"]["name"])


def failed_runs(running: Rig) -> int:
    """Count the runs of videos that Prefect shows as failed or crashed."""
    wanted = {
        "flows": {"name": {"any_": ["embed-video", "ingest-video"]}},
        "flow_runs": {"state": {"type": {"any_": ["FAILED", "CRASHED"]}}},
    }
    return int(running.live.prefect.post("/flow_runs/count", json=wanted).raise_for_status().json())


def produced(running: Rig) -> dict[str, Any]:
    """Give the second space's row of the coverage."""
    rows = running.patiently(lambda: running.live.service.get("/coverage").raise_for_status()).json()
    return next(row for row in rows if row["stage"] == "embed" and row["space"].startswith("second"))
