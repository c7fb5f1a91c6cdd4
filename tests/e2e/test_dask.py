"""Heavy tasks on two Dask workers: who does what, what a worker's death costs, and what a task costs more than its work."""

import datetime as dt
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from encoders.load import loaded
from models.session import transaction
from tests.conftest import wait_for
from tests.e2e.dask_cluster import AGREED, CHUNK_S, Cluster, stack_on_dask

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

CACHEABLE = {"validate", "transcode", "shots", "stills", "embed"}
COLOURS = ("red", "green", "blue", "yellow", "cyan", "magenta", "white", "gray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="dailies-dask-") as folder, stack_on_dask(Path(folder), AGREED) as running:
        yield running


@pytest.fixture
def film(make_clip: Callable[..., Path]) -> Callable[[str], Path]:
    """Give a maker of films of eight chunks."""
    return lambda name: make_clip(name, COLOURS, seconds=float(CHUNK_S), size="1280x720")


def chunks_of(cluster: Cluster, video_id: str) -> list[Any]:
    """Read what the ledger says of a video's chunks."""
    query = "SELECT part, state, attempt, error_class, extract(epoch FROM ended_at - started_at) AS seconds"
    query += " FROM stage_run WHERE video_id = :id AND part LIKE 'chunk %' ORDER BY started_at"
    with transaction(cluster.live.settings.database) as session:
        return list(session.execute(text(query), {"id": video_id}))


def overhead_s(cluster: Cluster, video: dict[str, Any]) -> float:
    """Give the median of the seconds that a chunk's task run takes beside the work that the ledger saw."""
    worked = {row.part: float(row.seconds) for row in chunks_of(cluster, video["video_id"])}
    found = []
    for run in cluster.live.task_runs(video["flow_run_id"]):
        if run["name"].startswith("transcode chunk"):
            began, ended = (dt.datetime.fromisoformat(run[name]) for name in ("start_time", "end_time"))
            found.append((ended - began).total_seconds() - worked[run["name"].removeprefix("transcode ")])
    return statistics.median(found)


def published_again(cluster: Cluster, video_id: str) -> list[dict[str, Any]]:
    stages = cluster.live.video(video_id)["stages"]
    done = any(stage["stage"] == "publish" and stage["attempts"] == 2 and stage["state"] == "done" for stage in stages)
    return stages if done else []


def nothing_in_scratch(cluster: Cluster) -> bool:
    return not [left for name in cluster.workers for left in cluster.scratch(name).glob("*")]


def test_chunks_go_to_both_workers_and_each_loads_the_encoder_once(
    cluster: Cluster, film: Callable[[str], Path], make_clip: Callable[..., Path], tmp_path: Path
):
    video = cluster.live.ingest(film("spread.mp4"))
    assert video["status"] == "indexed", video["error"]
    done = {name: cluster.finished(name, "transcode chunk") for name in ("a", "b")}
    assert sorted(done["a"] + done["b"]) == [f"transcode chunk {n}" for n in range(8)]
    assert all(len(chunks) >= 2 for chunks in done.values()), done
    cluster.live.ended_run(video["flow_run_id"])
    wait_for(lambda: nothing_in_scratch(cluster), "workers keep no copy of a video that is done", 30)
    print(f"chunks by worker: { {name: len(chunks) for name, chunks in done.items()} }")
    print(f"overhead: {overhead_s(cluster, video):.2f} s a task")

    cluster.live.service.post(f"/videos/{video['video_id']}/rerun", json={}).raise_for_status()
    published = wait_for(lambda: published_again(cluster, video["video_id"]), "it is published again", 120)
    assert {stage["stage"] for stage in published if stage["reused"]} == CACHEABLE, "workers keep results where we do"

    for number in range(4):
        assert cluster.live.ingest(make_clip(f"more-{number}.mp4"))["status"] == "indexed"
    (tmp_path / "words.mp4").write_text("no film at all")
    rejected = cluster.live.ingest(tmp_path / "words.mp4")
    assert (rejected["status"], rejected["reason"]) == ("rejected", "not_media"), "a verdict crosses the border"
    embedded = {name: len(cluster.finished(name, "embed scenes")) for name in ("a", "b")}
    loads = {name: len(names) for name, names in cluster.on_workers(loaded).items()}
    print(f"videos embedded by worker: {embedded}; encoders loaded: {loads}")
    assert sum(embedded.values()) == 5
    assert loads == {name: min(1, videos) for name, videos in embedded.items()}


def test_a_chunk_whose_worker_is_killed_is_done_by_the_other_and_no_other_chunk_is_done_again(
    cluster: Cluster, film: Callable[[str], Path]
):
    key = cluster.live.put(film("killed.mp4"))
    video_id = cluster.live.wait_for(lambda: cluster.live.videos(key), "the video", 30)[0]["video_id"]

    def at_work() -> str | None:
        states = [row.state for row in chunks_of(cluster, video_id)]
        both = "done" in states and states.count("running") == 2
        return next((name for name in ("a", "b") if cluster.encodes(name)), None) if both else None

    victim = cluster.live.wait_for(at_work, "a worker is in the middle of a chunk", 120, every_s=0.02)
    running = {row.part for row in chunks_of(cluster, video_id) if row.state == "running"}
    cluster.workers[victim].kill()
    cluster.workers[victim].wait(20)

    video = cluster.live.wait_for_status(video_id, "indexed", "failed", deadline_s=240)
    first = video["status"]
    if first == "failed":
        cluster.live.service.post(f"/videos/{video_id}/rerun", json={}).raise_for_status()
        video = cluster.live.wait_for_status(video_id, "indexed", deadline_s=240)
    rows = chunks_of(cluster, video_id)
    again = {row.part for row in rows if row.error_class == "Abandoned"}
    print(f"worker {victim} killed in {sorted(running)}: the run ended {first}; done again: {sorted(again)}")
    assert len(again) == 1
    assert again <= running
    assert sorted(row.part for row in rows if row.state == "done") == [f"chunk {n}" for n in range(8)], "each once"
    assert not [row for row in rows if row.state == "running"], "an entry of the dead stayed open"

    assert list(cluster.scratch(victim).glob("*/*")), "the dead worker left its copy of the source"
    cluster.start_worker(victim, "ab".index(victim))
    assert cluster.live.ingest(film("after.mp4"))["status"] == "indexed"
    wait_for(lambda: nothing_in_scratch(cluster), "what the dead worker left is swept when it is back at work", 30)
