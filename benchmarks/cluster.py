"""One long video by the threads of its run, and by two Dask workers of one core each; and what a task costs on Dask.

    python -m benchmarks.cluster [--minutes 10] [--ladder 1080 720 360]

Starts a stack of its own in a temporary folder, with a Dask scheduler and two workers beside it, and ends them all.
"""

import argparse
import datetime as dt
import tempfile
from pathlib import Path

from sqlalchemy import text

from benchmarks.transcode_sources import compose
from core.settings import MediaSettings
from media.tools import find_tools
from models.session import transaction
from tests.conftest import Live
from tests.e2e.dask_cluster import stack_on_dask, stack_up

#: Tasks of a rerun that Dask gets, when nothing is left to do: validate, sound, assemble, shots, stills, embed.
HEAVY_TASKS = 6
STAGES = {"chunks": "part LIKE 'chunk %'", "after the chunks": "part IS NULL AND stage <> 'validate'"}
SPAN = "SELECT extract(epoch FROM max(ended_at) - min(started_at)) FROM stage_run WHERE video_id = :id AND attempt = :n"


def span_s(live: Live, video_id: str, attempt: int, which: str = "true") -> float:
    """Give the seconds from the first begin to the last end of what the ledger has of an attempt."""
    with transaction(live.settings.database) as session:
        found = session.execute(text(f"{SPAN} AND {which}"), {"id": video_id, "n": attempt}).scalar()
    return float(found or 0)


def measured(live: Live, film: Path, label: str, deadline_s: float) -> dict[str, float]:
    """Ingest a film, then rerun it, which finds everything done."""
    key = live.put(film, f"{label}.mp4")
    video_id = live.wait_for(lambda: live.videos(key), "the video", 30)[0]["video_id"]
    video = live.wait_for_status(video_id, "indexed", "failed", "rejected", deadline_s=deadline_s)
    if video["status"] != "indexed":
        raise SystemExit(f"{label}: {video['status']}: {video['failure'] or video['reason']}")
    began, ended = (dt.datetime.fromisoformat(video[name]) for name in ("first_task_at", "indexed_at"))
    seconds = {"whole run": (ended - began).total_seconds()}
    seconds |= {name: span_s(live, video_id, 1, which) for name, which in STAGES.items()}
    live.ended_run(video["flow_run_id"])
    live.service.post(f"/videos/{video_id}/rerun", json={}).raise_for_status()
    done = "stage = 'publish' AND state = 'done'"
    live.wait_for(lambda: span_s(live, video_id, 2, done), "the rerun is done", 120)
    return {**seconds, "rerun, all Cached": span_s(live, video_id, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--ladder", type=int, nargs="+", default=[1080, 720, 360])
    arguments = parser.parse_args()
    length_s, agreed = round(arguments.minutes * 60), {"DAILIES_MEDIA__LADDER": str(arguments.ladder)}
    with tempfile.TemporaryDirectory(prefix="dailies-cluster-") as name:
        folder = Path(name)
        film = compose(folder, [length_s], find_tools(MediaSettings()))[length_s]
        data, deadline_s = folder / "stack" / "data", 60 + 20 * length_s
        with stack_up(data, agreed) as live:
            threads = measured(live, film, "threads", deadline_s)
        with stack_on_dask(folder, agreed, data=data) as cluster:
            dask = measured(cluster.live, film, "dask", deadline_s)
            chunks = {worker: len(cluster.finished(worker, "transcode chunk")) for worker in cluster.workers}
    print(f"{length_s} s of 1080p video, rungs {arguments.ladder}; chunks by Dask worker: {chunks}")
    print(f"{'seconds':20}{'threads':>9}{'dask':>9}{'ratio':>7}")
    for what, seconds in threads.items():
        print(f"{what:20}{seconds:9.1f}{dask[what]:9.1f}{dask[what] / seconds:7.2f}")
    extra = (dask["rerun, all Cached"] - threads["rerun, all Cached"]) / HEAVY_TASKS
    print(f"a task on Dask costs {extra:.2f} s more than in a thread")


if __name__ == "__main__":
    main()
