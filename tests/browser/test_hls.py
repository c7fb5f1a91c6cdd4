"""What is made of a film plays in a real browser: HLS across the border between two chunks, with sound."""

import subprocess
from pathlib import Path

from playwright.sync_api import Page, Route

from core.settings import LimitSettings, MediaSettings
from media.chunks import chunks_for
from media.tools import find_tools
from media.validation import inspect
from service.app import STATIC
from service.files import MEDIA_TYPES
from service.ranges import span_for
from tests.media.conftest import make_all

SETTINGS = MediaSettings(ladder=(180, 90), chunk_s=2, segment_s=1, preset="ultrafast", proxy_short_side=64)
#: No server: the browser's requests are answered here.
SITE = "http://player.test"
PAGE = """<!doctype html><button>Play</button><video></video><script src="/hls.min.js"></script><script>
const video = document.querySelector("video");
const problems = [];
const hls = new Hls({enableWorker: false});
hls.on(Hls.Events.ERROR, (_, problem) => problems.push(problem.details));
hls.loadSource("/master.m3u8");
hls.attachMedia(video);
document.querySelector("button").onclick = () => video.play();
</script>"""


def test_hls_of_several_chunks_plays_with_sound_past_their_borders(page: Page, tmp_path: Path):
    tools, limits, source = find_tools(SETTINGS), LimitSettings(), tmp_path / "film.mp4"
    command = [str(tools.ffmpeg), "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=r=25:s=320x180:d=7"]
    command += ["-f", "lavfi", "-i", "sine=440:d=7", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    subprocess.run([*command, "-c:a", "aac", str(source)], check=True, timeout=60)
    facts = inspect(source, tools, limits)
    assert len(chunks_for(facts, SETTINGS)) == 3
    made = make_all(source, facts, SETTINGS, tmp_path, tools, limits)
    folder = made.film.parent

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(f"{SITE}/")
        if not name:
            return route.fulfill(body=PAGE, content_type="text/html")
        path = STATIC / name if name.endswith(".js") else folder / name
        body, kind = path.read_bytes(), MEDIA_TYPES.get(path.suffix[1:], "text/javascript")
        span = span_for(route.request.headers.get("range"), len(body))
        if span is None:
            return route.fulfill(body=body, content_type=kind)
        part = body[span.first : span.first + span.length]
        headers = {"content-range": f"bytes {span.first}-{span.first + span.length - 1}/{len(body)}"}
        return route.fulfill(status=206, body=part, content_type=kind, headers=headers)

    page.route(f"{SITE}/**", answer)
    page.goto(f"{SITE}/")
    page.get_by_role("button", name="Play").click()
    # Chunks end at 2 and 4 s.
    page.wait_for_function("document.querySelector('video').currentTime > 4.5", timeout=60_000)
    state = page.evaluate(
        "() => ({sound: video.webkitAudioDecodedByteCount, pictures: video.webkitDecodedFrameCount,"
        " duration: video.duration, problems, groups: hls.audioTracks.length})"
    )
    assert state["sound"] > 0
    assert state["pictures"] > 0
    assert state["groups"] == 1
    assert abs(state["duration"] - 7) < 0.1
    assert state["problems"] == []
