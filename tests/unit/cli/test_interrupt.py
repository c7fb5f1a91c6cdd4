"""Ctrl-C while waiting: the upload stays, and the last words say how to follow it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.unit.cli.conftest import FakeService, document

VIDEO_ID = "3f2a91c1-0000-4000-8000-000000000001"
DEADLINE_S = 20.0


def test_interrupting_the_wait_leaves_the_upload_and_says_how_to_follow_it(
    service: FakeService, tmp_path: Path
) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"frames")
    service.answers = {f"/videos/{VIDEO_ID}/status": (200, document(VIDEO_ID, status="processing"))}
    waiting = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "ingest", str(film), "--wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests in the background has Ctrl-C switched off.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - takes no lock
    )
    deadline = time.monotonic() + DEADLINE_S
    while not any(target.endswith("/status") for _, target in service.asked):
        assert waiting.poll() is None, waiting.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=DEADLINE_S)
    assert (waiting.returncode, out) == (130, "")
    assert "film.mp4: follow it with `dailies show 3f2a91c1`" in err
    assert "Traceback" not in err
