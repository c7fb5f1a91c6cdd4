"""A bad line between the object store and the service: it drops, repeats and reorders what the store says."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

#: Longest that an event is held back for a later one to overtake it, seconds.
HELD_AT_MOST_S = 3.0


class Mode(StrEnum):
    PASS = "pass"
    #: The store is told that all is well, and nobody else hears of it.
    DROP = "drop"
    REPEAT = "repeat"
    #: An event waits until a later one has gone first.
    REORDER = "reorder"


@dataclass
class Line:
    """What the line does now, and what it did."""

    url: str
    target: str = ""
    mode: Mode = Mode.PASS
    done: dict[Mode, int] = field(default_factory=lambda: dict.fromkeys(Mode, 0))
    overtaken: threading.Event = field(default_factory=threading.Event)

    def forward(self, body: bytes, headers: dict[str, str]) -> int:
        """Deliver one event as the mode says; give the status that the store sees."""
        mode = self.mode
        self.done[mode] += 1
        if mode is Mode.DROP:
            return 200
        if mode is Mode.REORDER and not self.overtaken.is_set():
            waiting, self.overtaken = self.overtaken, threading.Event()
            waiting.wait(HELD_AT_MOST_S)
        try:
            for _ in range(3 if mode is Mode.REPEAT else 1):
                status = httpx.post(self.target, content=body, headers=headers, timeout=10).status_code
        except httpx.HTTPError:
            status = 502
        self.overtaken.set()
        return status


@contextmanager
def bad_line() -> Iterator[Line]:
    """Listen on a loopback port of the system's choice."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
            self.send_response(line.forward(body, headers))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        line = Line(url=f"http://127.0.0.1:{server.server_address[1]}/")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield line
        finally:
            server.shutdown()
            thread.join(5)
