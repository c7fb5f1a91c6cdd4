"""The command line in this process, against a small service that lives in a thread."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cli.main import main
from core.settings import get_settings

VIDEO_ID = "3f2a91c0-0000-4000-8000-000000000001"


def document(video_id: str = VIDEO_ID, **changes: Any) -> dict[str, Any]:
    """Give a video's document as the service does."""
    whole = {
        "video_id": video_id,
        "title": "film [1]",
        "file_name": "film.mp4",
        "status": "indexed",
        "reason": None,
        "error": None,
        "duration_s": 4.5,
        "degraded": [],
        "created_at": "2026-11-23T18:49:00+00:00",
        "flow_run_id": "7c1f0000-0000-4000-8000-000000000002",
        "run_url": "http://prefect/v2/runs/flow-run/7c1f",
        "description": None,
        "renditions": [{"name": "360p", "width": 640, "height": 360, "bytes": 1000}],
        "shots": [{"start_s": 0.0, "end_s": 4.5, "kind": "start"}],
        "scenes": [{"scene_id": "5a17", "start_s": 0.0, "end_s": 4.5}],
        "stages": [{"stage": "validate", "state": "done", "attempts": 1, "reused": False, "seconds": 0.5}],
        "failure": None,
        "urls": {
            "hls": f"http://service/videos/{video_id}/files/master.m3u8",
            "video": f"http://service/videos/{video_id}/files/video.mp4",
            "renditions": {"360p": f"http://service/videos/{video_id}/files/360p.mp4"},
            "proxy": None,
            "contact_sheet": None,
            "posters": [None],
        },
        "first_task_at": "2999-01-01T00:00:00+00:00",
        "indexed_at": "2999-01-01T00:00:01+00:00",
    }
    return {**whole, **changes}


@dataclass
class FakeService:
    """A service and an object store in one: what was asked, and what is answered."""

    url: str = ""
    #: By first path that begins so: status and body.
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    #: By target: the next page that its `Link` header names.
    following: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    uploaded: dict[str, bytes] = field(default_factory=dict)
    announced: list[dict[str, Any]] = field(default_factory=list)
    store_is_down: bool = False

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:  # noqa: PLR0911 - one per route
        self.asked.append((method, target))
        self.bodies.append(body)
        path = urlsplit(target).path
        if method == "PUT":
            if self.store_is_down:
                return 503, "<Error>SlowDown</Error>"
            self.uploaded[path] = body
            return 200, ""
        if path == "/videos/upload/init":
            self.announced.append(json.loads(body))
            number = len(self.announced)
            video_id = f"3f2a91c{number}-0000-4000-8000-000000000001"
            return 201, {"video_id": video_id, "upload_url": f"{self.url}/bucket/{number}"}
        if path == "/videos/upload/complete":
            return 200, {"video_id": json.loads(body)["video_id"], "status": "validating"}
        for known, answer in self.answers.items():
            if path == known:
                return answer
        if path == "/videos":
            prefix = parse_qs(urlsplit(target).query).get("id", [""])[0]
            return 200, {"videos": [document()] if VIDEO_ID.startswith(prefix) else [], "next": None}
        if path.endswith("/status"):
            return 200, document(path.split("/")[2])
        if path.startswith("/videos/"):
            return 200, document(path.split("/")[2])
        return 404, {"error": "not_found", "message": "Not Found."}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeService]:
    """Run the fake service; commands find it by DAILIES_SERVICE__URL."""
    fake = FakeService()

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = fake.answer(self.command, self.path, body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if following := fake.following.get(self.path):
                self.send_header("Link", f'<{following}>; rel="next"')
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = reply  # noqa: N815 - names that http.server looks for

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("DAILIES_SERVICE__URL", fake.url)
    monkeypatch.setenv("DAILIES_DATA", str(tmp_path / "no-stack-here"))
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def dailies(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Ran]:
    """Run the command line as the shell would."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["dailies", *map(str, arguments)])
        get_settings.cache_clear()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run
