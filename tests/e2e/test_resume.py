"""A run that stopped is resumed at the stage that stopped; what was finished is Cached, never done again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from models.session import transaction

if TYPE_CHECKING:
    from tests.conftest import Live

CACHEABLE = ["validate", "transcode", "shots", "stills", "embed"]


def stage(video: dict[str, Any], name: str) -> dict[str, Any]:
    return next(stage for stage in video["stages"] if stage["stage"] == name)


@contextmanager
def broken_release(live: "Live") -> Iterator[None]:
    """Break publish, and publish alone, as a bad release would: no scene meets what a table now demands."""
    with transaction(live.settings.database) as session:
        session.execute(text("ALTER TABLE scene ADD CONSTRAINT nothing_fits CHECK (false) NOT VALID"))
    try:
        yield
    finally:
        with transaction(live.settings.database) as session:
            session.execute(text("ALTER TABLE scene DROP CONSTRAINT nothing_fits"))


def rerun(live: "Live", video_id: str, **body: Any) -> None:
    live.service.post(f"/videos/{video_id}/rerun", json=body).raise_for_status()


def test_after_a_bug_is_mended_a_rerun_resumes_at_the_failed_stage(live: "Live", make_clip: Callable[..., Path]):
    key = live.put(make_clip("bug.mp4"))
    with broken_release(live):
        video = live.wait_for(lambda: live.videos(key), "the video", 30)[0]
        failed = live.wait_for_status(video["video_id"], "failed", "indexed")
    assert failed["status"] == "failed"
    assert failed["failure"]["stage"] == "publish"
    assert stage(failed, "publish")["attempts"] == 1, "an unknown error is not retried"
    rerun(live, failed["video_id"])
    video = live.wait_for_status(failed["video_id"], "indexed")
    assert [name for name in CACHEABLE if stage(video, name)["reused"]] == CACHEABLE
    assert {stage(video, name)["attempts"] for name in CACHEABLE} == {1}
    assert stage(video, "publish")["attempts"] == 2
    assert live.run(video["flow_run_id"])["run_count"] == 2
    names = [(run["name"].split()[0], run["state_name"]) for run in live.task_runs(video["flow_run_id"])]
    assert names.count(("validate", "Cached")) == 1


def test_a_killed_flow_process_resumes_by_itself(live: "Live", make_clip: Callable[..., Path]):
    key = live.put(make_clip("killed.mp4", seconds=5.0, size="1280x720"))
    video = live.wait_for(lambda: live.videos(key), "the video", 30)[0]

    def transcoding() -> dict[str, Any] | None:
        now = live.video(video["video_id"])
        return now if any(s["stage"] == "transcode" and s["state"] == "running" for s in now["stages"]) else None

    running = live.wait_for(transcoding, "transcode is running", 30, every_s=0.05)
    process = live.wait_for(lambda: live.flow_process(running["flow_run_id"]), "the flow process", 10)
    media = [child for child in process.children(recursive=True) if "ffmpeg" in child.name()]
    process.kill()
    done = live.wait_for_status(video["video_id"], "indexed")
    assert stage(done, "validate")["reused"]
    assert (stage(done, "validate")["attempts"], stage(done, "transcode")["attempts"]) == (1, 2)
    assert all(not child.is_running() for child in media), "ffmpeg outlived its flow process"


def test_a_deleted_file_makes_its_stage_run_again_and_no_other(live: "Live", make_clip: Callable[..., Path]):
    video = live.ingest(make_clip("deleted.mp4"))
    bucket = live.settings.storage.derived_bucket
    poster = next(
        found.key for found in live.store.list(bucket, f"{video['video_id']}/stills/") if found.key.endswith(".jpg")
    )
    live.store.delete(bucket, poster)
    rerun(live, video["video_id"])
    again = live.wait_for(
        lambda: (now := live.video(video["video_id"])) and stage(now, "publish")["attempts"] == 2 and now,
        "published again",
    )
    assert stage(again, "stills")["attempts"] == 2
    assert [name for name in CACHEABLE if stage(again, name)["reused"]] == ["validate", "transcode", "shots", "embed"]
    assert again["status"] == "indexed"


def test_redoing_from_a_stage_redoes_it_and_those_after_it(live: "Live", make_clip: Callable[..., Path]):
    video = live.ingest(make_clip("redo.mp4"))
    rerun(live, video["video_id"], from_stage="stills")
    again = live.wait_for(
        lambda: (now := live.video(video["video_id"])) and stage(now, "publish")["attempts"] == 2 and now,
        "published again",
    )
    assert [name for name in CACHEABLE if not stage(again, name)["reused"]] == ["stills", "embed"]
