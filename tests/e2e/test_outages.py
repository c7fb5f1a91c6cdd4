"""A part of the stack that is lost in the middle of a run costs no finished stage, and nobody has to do anything."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from deployments.embedded import stack
from deployments.embedded.state import PartStatus

if TYPE_CHECKING:
    from tests.conftest import Live


def part(live: "Live", name: str) -> PartStatus:
    return next(part for part in stack.status(live.data).parts if part.name == name)


def at_work(live: "Live", video_id: str) -> dict[str, Any] | None:
    """Give the video once a media stage of it is running."""
    now = live.video(video_id)
    running = [stage["stage"] for stage in now["stages"] if stage["state"] == "running"]
    return now if {"transcode", "shots", "embed"} & {*running} else None


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("prefect", signal.SIGKILL),
        ("postgres", signal.SIGKILL),
        ("store", signal.SIGKILL),
        ("service", signal.SIGKILL),
        ("worker", signal.SIGTERM),
        ("worker", signal.SIGKILL),
    ],
)
def test_a_part_that_is_lost_mid_run_comes_back_and_the_run_goes_on(
    live: "Live", make_clip: Callable[..., Path], name: str, number: signal.Signals
):
    key = live.put(make_clip(f"without-{name}-{number.name}.mp4", seconds=4.0, size="1280x720"))
    video_id = live.wait_for(lambda: live.videos(key), "the video", 30)[0]["video_id"]
    live.wait_for(lambda: at_work(live, video_id), "a media stage is running", 120, every_s=0.05)
    before = part(live, name)
    assert before.pid
    psutil.Process(before.pid).send_signal(number)

    def back() -> bool:
        now = part(live, name)
        return now.restarts > before.restarts and now.state == "up"

    live.wait_for(back, f"{name} is back", 120, every_s=0.5)
    live.wait_for(lambda: live.service.get("/readyz").status_code == 200, "the service answers", 60)
    done = live.wait_for_status(video_id, "indexed", "failed", deadline_s=240)
    assert done["status"] == "indexed", done["error"]
    times = {stage["stage"]: stage["attempts"] for stage in done["stages"]}
    assert times["validate"] == 1, "what was finished is not done again"
    if name == "worker":
        # Killed, it leaves its flow processes alone; asked to end, it ends them first, and the missing heartbeat is noticed.
        assert live.run(done["flow_run_id"])["run_count"] == (1 if number is signal.SIGKILL else 2)
