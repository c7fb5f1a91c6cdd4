"""The player page in a real browser: a hit plays at its second, with picture and sound."""

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import uvicorn
from playwright.sync_api import Page, expect

from core.settings import LimitSettings, MediaSettings, Settings
from core.values import EncoderSpec
from encoders.catalog import spec_for
from media.tools import find_tools
from media.validation import inspect
from service.app import create_app
from tests.conftest import wait_for
from tests.media.conftest import make_all

MEDIA = MediaSettings(ladder=(180,), segment_s=1, preset="ultrafast", proxy_short_side=64)
STATE = """() => {
    const video = document.getElementById("player");
    return {
        second: video.currentTime,
        pictures: video.webkitDecodedFrameCount,
        sound: video.webkitAudioDecodedByteCount,
        address: video.currentSrc,
        ready: video.readyState,
    };
}"""
CURRENT = ".strip a[aria-current]"


@pytest.fixture(scope="module")
def players(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Everything that players ask for, of a film of 4.5 seconds with sound."""
    folder, tools, limits = tmp_path_factory.mktemp("film"), find_tools(MediaSettings()), LimitSettings()
    source = folder / "film.mp4"
    command = [
        str(tools.ffmpeg),
        "-nostdin",
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=r=25:s=320x180:d=4.5",
    ]
    command += ["-f", "lavfi", "-i", "sine=440:d=4.5", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    subprocess.run([*command, "-c:a", "aac", str(source)], check=True, timeout=60)
    made = make_all(source, inspect(source, tools, limits), MEDIA, folder, tools, limits)
    return {file.name: file for file in made.film.parent.iterdir() if file.suffix in {".mp4", ".m3u8"}}


@pytest.fixture
def spec(settings: Settings) -> EncoderSpec:
    return spec_for(settings.encoder)


@pytest.fixture
def site(settings: Settings) -> Iterator[str]:
    """The service at an address of its own."""
    door = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{door.getsockname()[1]}"
    mine = settings.model_copy(update={"service": settings.service.model_copy(update={"url": url})})

    def nothing(_settings: Settings) -> None:
        """Stand for dispatcher, settler and reconcile."""

    app = create_app(mine, dispatch=nothing, settle=nothing, reconcile=nothing)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    wait_for(lambda: server.started, "the service", 30)
    yield url
    server.should_exit = True
    thread.join()
    door.close()


def complaints(page: Page) -> list[str]:
    """Collect what the browser complains of from now on."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


def wait_until(page: Page, condition: str) -> dict[str, Any]:
    page.wait_for_function(f"() => {{ const s = ({STATE})(); return {condition}; }}", timeout=60_000)
    return page.evaluate(STATE)


def test_the_address_of_a_hit_plays_from_its_second_on_with_picture_and_sound(
    site: str,
    page: Page,
    spec: EncoderSpec,
    indexed_video: Callable[..., UUID],
    players: dict[str, Path],
):
    video_id = indexed_video(spec=spec, title="Harbour <b>", players=players)
    found, asked = complaints(page), []
    page.on("request", lambda request: asked.append(request.url))
    # From the search page, as a person comes: what plays is HLS.
    page.goto(site)
    page.get_by_role("searchbox").fill("harbour")
    page.keyboard.press("Enter")
    expect(page.locator(".card").first).to_contain_text("says Harbour", timeout=60_000)
    page.locator(".card a[href$='t=1.5']").first.click()
    page.wait_for_url(f"**/videos/{video_id}?t=1.5")
    state = wait_until(page, "s.ready >= 2 && s.second > 0")
    assert 1.5 <= state["second"] < 4.5
    assert state["address"].startswith("blob:")
    page.evaluate("document.getElementById('player').play()")
    state = wait_until(page, "s.second > 1.9 && s.pictures > 5 && s.sound > 1000")
    assert any(url.endswith("/master.m3u8") for url in asked)
    assert [url for url in asked if not url.startswith((site, "blob:", "data:"))] == []

    page.keyboard.press("k")  # pause
    page.locator(".strip a").first.click()
    expect(page.locator(CURRENT)).to_have_attribute("data-start", "0", timeout=30_000)
    assert page.url.endswith("?t=0")
    page.keyboard.press("k")
    page.keyboard.press("n")
    expect(page.locator(CURRENT)).to_have_attribute("data-start", "1.5", timeout=30_000)
    wait_until(page, "s.second >= 1.5")
    assert found == []


def test_where_hls_is_broken_the_one_file_plays_from_the_same_second(
    site: str,
    page: Page,
    indexed_video: Callable[..., UUID],
    players: dict[str, Path],
):
    video_id = indexed_video(players={"video.mp4": players["video.mp4"]})  # its playlists name nothing
    page.goto(f"{site}/videos/{video_id}?t=3.2")
    state = wait_until(page, "s.ready >= 2 && s.second >= 3.2")
    assert state["address"].endswith("/video.mp4")
    page.evaluate("document.getElementById('player').play()")
    wait_until(page, "s.second > 3.4 && s.pictures > 2 && s.sound > 500")
