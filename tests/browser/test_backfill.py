"""Pause and Resume of a backfill, clicked in the Prefect UI."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page
from sqlalchemy import text

from models.session import transaction

if TYPE_CHECKING:
    from tests.conftest import Live

#: As many as a minute's rate leaves time to pause between two.
VIDEOS = 3
STALE = "UPDATE recipe SET name = name || ' of old' WHERE stage = 'stills'"


def click(page: Page, ui: str, run_id: str, action: str) -> None:
    page.goto(f"{ui}/v2/runs/flow-run/{run_id}")
    page.get_by_role("button", name="Open menu").click()
    page.get_by_role("menuitem", name=action).click()
    page.get_by_role("alertdialog").or_(page.get_by_role("dialog")).get_by_role("button", name=action).click()


@pytest.fixture
def stale(live: "Live", make_clip: Callable[..., Path]) -> list[str]:
    """Give indexed videos whose stills were made by an older recipe."""
    ids = [live.ingest(make_clip(f"stale-{n}.mp4", seconds=0.6 + n / 20))["video_id"] for n in range(VIDEOS)]
    with transaction(live.settings.database) as session:
        session.execute(text(STALE))
    return ids


@pytest.mark.long
@pytest.mark.timeout(480)
def test_a_paused_backfill_goes_on_after_resume(live: "Live", page: Page, stale: list[str]):
    body = {"stage": "stills", "per_minute": 6, "dry_run": False}
    asked = live.service.post("/backfill", json=body).raise_for_status().json()
    run_id, ui = asked["run_url"].rpartition("/")[2], live.settings.workflow.ui_url

    def times() -> list[int]:
        return [publications(live.video(video_id)) for video_id in stale]

    live.wait_for(lambda: max(times()) > 1, "the first video is done again", 90)
    click(page, ui, run_id, "Pause")
    live.wait_for(lambda: live.run(run_id)["state_name"] == "Suspended", "the run is suspended", 30)
    live.wait_for(lambda: live.flow_process(run_id) is None, "its process has ended", 60)
    assert min(times()) == 1, "it had asked for everything before it was paused"
    assert live.run(run_id)["state_name"] == "Suspended"
    click(page, ui, run_id, "Resume")
    ended = live.wait_for(lambda: (run := live.run(run_id))["state_type"] == "COMPLETED" and run, "it has ended", 180)
    assert ended["id"] == run_id
    assert times() == [2] * VIDEOS


def publications(video: dict[str, Any]) -> int:
    # The stage itself finds its files again, for only the noted name of its recipe is an old one.
    return next(stage["attempts"] for stage in video["stages"] if stage["stage"] == "publish")
