"""The player page in a real browser: a hit plays at its second, with picture and sound."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from tests.conftest import Live

STATE = """() => {
    const video = document.getElementById("player");
    return {
        second: video.currentTime,
        pictures: video.getVideoPlaybackQuality().totalVideoFrames,
        sound: video.webkitAudioDecodedByteCount,
        size: [video.videoWidth, video.videoHeight],
        ready: video.readyState,
    };
}"""
CURRENT = ".strip a[aria-current]"


@pytest.fixture(scope="module")
def film(live: "Live", make_clip: Callable[..., Path]) -> dict[str, Any]:
    """Three scenes of two seconds, with sound."""
    return live.ingest(make_clip("player.mp4", ("red", "green", "blue"), seconds=2.0))


def wait_until(page: Page, condition: str) -> dict[str, Any]:
    page.wait_for_function(f"() => {{ const s = ({STATE})(); return {condition}; }}")
    return page.evaluate(STATE)


def complaints(page: Page) -> list[str]:
    """Collect what the page complains of, and every request that leaves the service."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


def test_the_address_of_a_hit_plays_from_its_second_on_with_picture_and_sound(
    live: "Live", page: Page, film: dict[str, Any]
):
    hits = live.service.get("/search", params={"q": "green", "video": film["video_id"], "collapse": False}).json()
    hit = next(hit for hit in hits if hit["start_s"] == pytest.approx(2.0, abs=0.1))
    found, asked = complaints(page), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(hit["url"])
    # Nobody has touched the page yet: the browser lets it wait at its second, or play on from there.
    state = wait_until(page, "s.ready >= 2 && s.second > 0")
    assert hit["start_s"] <= state["second"] < hit["end_s"]
    expect(page.locator(CURRENT)).to_have_attribute("data-start", "2")
    page.keyboard.press("m")
    page.keyboard.press("m")
    page.evaluate("document.getElementById('player').play()")
    state = wait_until(page, f"s.second > {hit['start_s'] + 0.4} && s.pictures > 5 && s.sound > 1000")
    assert state["size"][0] > state["size"][1] > 0
    assert [url for url in asked if not url.startswith((live.settings.service.url, "blob:", "data:"))] == []
    assert found == []


def test_the_scene_strip_and_the_keys_move_the_player(live: "Live", page: Page, film: dict[str, Any]):
    page.goto(f"{live.settings.service.url}/videos/{film['video_id']}")
    wait_until(page, "s.ready >= 1")
    page.locator(".strip a").nth(2).click()
    wait_until(page, "s.second >= 4")
    expect(page.locator(CURRENT)).to_have_attribute("data-start", "4")
    assert page.url.endswith("?t=4")
    page.keyboard.press("p")
    expect(page.locator(CURRENT)).to_have_attribute("data-start", "2")
    page.keyboard.press("k")
    page.keyboard.press("ArrowLeft")
    wait_until(page, "s.second < 2")


def test_a_search_in_the_browser_leads_to_the_player(live: "Live", page: Page, film: dict[str, Any]):
    found = complaints(page)
    page.goto(live.settings.service.url)
    page.get_by_role("searchbox").fill("player")  # a word of its title
    page.keyboard.press("Enter")
    first = page.locator(".card").first
    expect(first).to_contain_text("says player")
    first.locator("a").first.click()
    state = wait_until(page, "s.ready >= 1")
    assert state["size"] != [0, 0]
    assert f"/videos/{film['video_id']}" in page.url
    assert found == []
