"""Retry in the Prefect UI, clicked in a real browser, resumes at the stage that stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from models.session import transaction

if TYPE_CHECKING:
    from tests.conftest import Live


def retry_in_v2(page: Page, ui: str, run_id: str) -> None:
    page.goto(f"{ui}/v2/runs/flow-run/{run_id}")
    page.get_by_role("button", name="Open menu").click()
    page.get_by_role("menuitem", name="Retry").click()
    page.get_by_role("alertdialog").or_(page.get_by_role("dialog")).get_by_role("button", name="Retry").click()


def retry_in_v1(page: Page, ui: str, run_id: str) -> None:
    page.goto(f"{ui}/runs/flow-run/{run_id}")
    page.get_by_role("button", name="Retry").first.click()
    page.get_by_role("alertdialog").or_(page.get_by_role("dialog")).get_by_role("button", name="Retry").click()


def stage(video: dict[str, Any], name: str) -> dict[str, Any]:
    return next(stage for stage in video["stages"] if stage["stage"] == name)


def reached(live: "Live", video_id: str, name: str, *states: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        video = live.video(video_id)
        return video if any(s["stage"] == name and s["state"] in states for s in video["stages"]) else None

    return live.wait_for(look, f"{name} is {states}", 60, every_s=0.05)


@pytest.mark.parametrize("retry", [retry_in_v2, pytest.param(retry_in_v1, marks=pytest.mark.long)])
def test_after_a_kill_retry_finds_finished_stages_cached(
    live: "Live", page: Page, make_clip: Callable[..., Path], retry: Callable[[Page, str, str], None]
):
    key = live.put(make_clip(f"{retry.__name__}.mp4", seconds=5.0, size="1280x720"))
    video = live.wait_for(lambda: live.videos(key), "the video", 30)[0]
    with transaction(live.settings.database) as session:
        # It has used up its automatic resumes: from here on it waits for a person.
        session.execute(text("UPDATE video SET auto_resumes = 3 WHERE id = :id"), {"id": video["video_id"]})
    run_id = reached(live, video["video_id"], "transcode", "running")["flow_run_id"]
    live.wait_for(lambda: live.flow_process(run_id), "the flow process", 10).kill()
    assert live.wait_for_status(video["video_id"], "failed")["failure"]["error_class"] == "Crashed"
    retry(page, live.settings.workflow.ui_url, run_id)
    done = live.wait_for_status(video["video_id"], "indexed")
    assert done["flow_run_id"] == run_id
    assert stage(done, "validate")["reused"]
    assert (stage(done, "validate")["attempts"], stage(done, "transcode")["attempts"]) == (1, 2)
    states = {run["name"].split()[0]: run["state_name"] for run in live.task_runs(run_id)}
    assert states["validate"] == "Cached"


@pytest.mark.long
@pytest.mark.timeout(480)
@pytest.mark.parametrize("retry", [retry_in_v2, retry_in_v1])
def test_after_exhausted_retries_retry_finds_finished_stages_cached(
    live: "Live", page: Page, make_clip: Callable[..., Path], retry: Callable[[Page, str, str], None]
):
    key = live.put(make_clip(f"outage-{retry.__name__}.mp4", seconds=4.0, size="1280x720"))
    video = live.wait_for(lambda: live.videos(key), "the video", 30)[0]
    run_id = reached(live, video["video_id"], "transcode", "running")["flow_run_id"]
    database = make_url(live.settings.database.url.get_secret_value())
    admin = create_engine(database.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("ALTER DATABASE dailies ALLOW_CONNECTIONS false"))
        connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'dailies'"))
        try:
            # Five retries, 62 s of patience before jitter; the last wait may be half as long again.
            live.wait_for(
                lambda: live.run(run_id)["state"]["type"] == "FAILED", "retries are exhausted", 150, every_s=0.5
            )
        finally:
            connection.execute(text("ALTER DATABASE dailies ALLOW_CONNECTIONS true"))
    admin.dispose()
    failed = live.wait_for_status(video["video_id"], "failed")
    assert failed["status"] == "failed"
    retry(page, live.settings.workflow.ui_url, run_id)
    done = live.wait_for_status(video["video_id"], "indexed")
    assert stage(done, "validate")["reused"]
    assert stage(done, "validate")["attempts"] == 1
