"""A process that dies at any write loses nothing and repeats nothing that was finished.

The boundaries come from the code (core/faults.py): one that is added without being reached fails here.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect import Task
from sqlalchemy import text

import tasks
from core.faults import TAKEN, WRITES, Fault, Moment, armed
from core.stages import Part, Stage
from dispatch.leftovers import sweep_leftovers
from models.session import transaction
from storage.records import named_files

if TYPE_CHECKING:
    from tests.conftest import Live

Point = tuple[str, Moment]
#: Stages whose result is kept, in order; publish is done again by every attempt.
KEPT = [stage for stage in Stage if stage is not Stage.PUBLISH]
ORDER: list[Point] = [(write, moment) for write in WRITES if write != "reject" for moment in Moment]
#: One of each boundary, before and after by turns.
ONE_EACH: list[Point] = [point for n, point in enumerate(ORDER) if n % 4 in {0, 3}]
#: Filling one more space for an indexed video: one reads, one commits once; tests/integration/test_embed_video.py.
OTHER_FLOWS = {"read what is published", "add vectors"}
#: So many kills a video: several videos go through theirs side by side, and each is resumed a few times only.
KILLS = 4


@dataclass
class Lane:
    """One video and the points at which its process dies, in the order in which it reaches them."""

    video_id: str
    points: list[Point]

    def files(self, folder: Path) -> list[Path]:
        return [armed(folder, self.video_id, write, moment) for write, moment in self.points]


def announce(live: "Live", path: Path) -> tuple[str, str]:
    answer = live.service.post("/videos/upload/init", json={"file_name": path.name}).raise_for_status().json()
    return answer["video_id"], answer["key"]


def set_off(live: "Live", path: Path, points: list[Point], fault: Fault) -> Lane:
    """Arm the faults of a video before its file is there, then upload it."""
    video_id, key = announce(live, path)
    lane = Lane(video_id, points)
    for file in lane.files(live.faults):
        file.write_text(fault)
    live.put(path, key)
    return lane


def grant_resumes(live: "Live", lanes: list[Lane]) -> None:
    """As a person who reruns it would: the count of automatic resumes begins anew, and so do their delays."""
    with transaction(live.settings.database) as session:
        session.execute(
            text("UPDATE video SET auto_resumes = 0 WHERE id = ANY(CAST(:ids AS uuid[]))"),
            {"ids": [lane.video_id for lane in lanes]},
        )


def ended(live: "Live", lanes: list[Lane], *statuses: str) -> list[dict[str, Any]] | None:
    grant_resumes(live, lanes)
    videos = [live.video(lane.video_id) for lane in lanes]
    return videos if all(video["status"] in statuses for video in videos) else None


def executions(video: dict[str, Any]) -> dict[str, int]:
    return {stage["stage"]: stage["attempts"] for stage in video["stages"]}


def expected(stage: Stage, points: list[Point]) -> tuple[int, int]:
    """Give how often a stage is executed, at least and at most."""
    if stage is not Stage.TRANSCODE:
        return (1 + points.count((stage, Moment.BEFORE)),) * 2
    # Executions of the share that was executed most. A chunk is in flight while the sound is finished, and the other
    # way round: either may be lost with the other, or be finished before.
    least = max(points.count((write, Moment.BEFORE)) for write in (*Part, stage))
    in_flight = sum(write in {*Part} for write, _ in points)
    return 1 + least, 1 + max(least, in_flight)


def not_taken(live: "Live", lane: Lane) -> list[str]:
    return [file.name for file in lane.files(live.faults) if not file.with_name(file.name + TAKEN).exists()]


def task_names() -> Iterator[str]:
    for module in pkgutil.iter_modules(tasks.__path__, "tasks."):
        found = vars(importlib.import_module(module.name)).values()
        yield from (task.name for task in found if isinstance(task, Task))


def test_every_task_is_a_boundary_with_a_case():
    assert set(task_names()) - OTHER_FLOWS == set(WRITES)


@pytest.mark.parametrize(
    "points", [pytest.param(ONE_EACH, id="once"), pytest.param(ORDER, id="before and after", marks=pytest.mark.long)]
)
@pytest.mark.timeout(400)
def test_a_kill_at_any_write_loses_nothing_and_repeats_nothing(
    live: "Live", make_clip: Callable[..., Path], points: list[Point]
):
    name, videos = f"kill-{len(points)}", len(points) // KILLS
    clips = [make_clip(f"{name}-{n}.mp4", ("red", "blue"), seconds=0.6 + (n + len(points)) / 50) for n in range(videos)]
    lanes = [set_off(live, clip, points[n::videos], Fault.KILL) for n, clip in enumerate(clips)]
    bad = clips[0].with_name(f"{name}-rejected.mp4")
    bad.write_bytes(name.encode() * 40)
    moments = list(Moment)[: len(points) // len(ONE_EACH)]
    verdict = set_off(live, bad, [("reject", moment) for moment in moments], Fault.KILL)
    ends = live.wait_for(
        lambda: ended(live, lanes, "indexed", "failed", "rejected"), "every killed video is indexed", 300, every_s=1
    )
    for lane, video in zip(lanes, ends, strict=True):
        assert video["status"] == "indexed", video["error"]
        assert not_taken(live, lane) == [], "a boundary was never reached"
        for stage in KEPT:
            least, most = expected(stage, lane.points)
            assert least <= executions(video)[stage] <= most, f"{stage} after {lane.points}"
        assert video["scenes"]
    live.wait_for(lambda: ended(live, [verdict], "rejected"), "the bad file is rejected", 60, every_s=1)
    assert not_taken(live, verdict) == []
    assert_nothing_is_left(live, [*lanes, verdict])


def assert_nothing_is_left(live: "Live", lanes: list[Lane]) -> None:
    """No process, no scratch and no derived file of a dead attempt outlives its video, once swept."""

    ids = {lane.video_id for lane in lanes}
    run_ids = {live.video(video_id)["flow_run_id"] for video_id in ids}
    live.wait_for(lambda: not any(map(live.flow_process, run_ids)), "flow processes have ended", 30, every_s=0.5)
    sweep_leftovers(live.settings)
    bucket = live.settings.storage.derived_bucket
    for video_id in ids:
        wanted = named(live, video_id)
        found = {item.key for item in live.store.list(bucket, f"{video_id}/")}
        assert found - wanted == set(), "orphans"
        assert wanted - found == set(), "missing"


def named(live: "Live", video_id: str) -> set[str]:
    """Records, and every file that a record names."""

    bucket = live.settings.storage.derived_bucket
    records = {item.key for item in live.store.list(bucket, f"{video_id}/") if item.key.endswith("/result.json")}
    return records | {file.key for record in records for file in named_files(live.store.read(bucket, record))}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_lost_answer_at_any_write_is_asked_for_again_by_itself(live: "Live", make_clip: Callable[..., Path]):
    clips = [make_clip(f"lost-{n}.mp4", ("green", "blue"), seconds=0.6 + n / 50) for n in range(2)]
    lanes = [
        set_off(live, clip, [p for p in ORDER if p[1] is moment], Fault.LOSE)
        for clip, moment in zip(clips, Moment, strict=True)
    ]
    videos = live.wait_for(lambda: ended(live, lanes, "indexed", "failed"), "both are indexed", 200, every_s=1)
    for lane, video in zip(lanes, videos, strict=True):
        assert video["status"] == "indexed", video["error"]
        assert not_taken(live, lane) == []
        assert live.run(video["flow_run_id"])["run_count"] == 1, "a task's retry is enough"
    assert {stage: executions(videos[1])[stage] for stage in KEPT} == dict.fromkeys(KEPT, 1)
    assert_nothing_is_left(live, lanes)
