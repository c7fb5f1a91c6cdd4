"""What every test relies on: a scrubbed environment, clips made on the spot, and one live stack for those that need it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import httpx
import psutil
import pytest
from hypothesis import settings as properties

from core.faults import VARIABLE
from core.settings import MediaSettings, Settings, get_settings
from core.threads import share_processors
from deployments.embedded import stack
from deployments.embedded.layout import Layout
from deployments.embedded.leftovers import leftovers
from deployments.embedded.state import read_state
from media.tools import find_tools
from storage.client import ObjectStore
from tests.chromium import browser, page  # noqa: F401 - fixtures for whoever asks

T = TypeVar("T")

#: Every deadline is so many times as long: TEST_PATIENCE=5 for a machine that is busy with other things.
PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        marker = item.get_closest_marker("timeout")
        limit_s = marker.args[0] if marker else float(config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(limit_s * PATIENCE), append=False)


# How long one example takes says how busy the machine is, and nothing about the code.
properties.register_profile("dailies", deadline=None)
properties.load_profile("dailies")

# Prefect reads these when it is imported. Without them a test that asks for a run would start a server of its own,
# with a database in the home of whoever runs the tests; nobody listens at this address.
_PREFECT_HOME = tempfile.TemporaryDirectory(prefix="dailies-prefect-", ignore_cleanup_errors=True)
os.environ["PREFECT_HOME"] = _PREFECT_HOME.name
os.environ["PREFECT_API_URL"] = "http://127.0.0.1:9/api"

# The processes that tests start find our code compiled, as a user's do, and need not each compile it again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Tests import torch before anything of ours does; their networks run as the product's do.
share_processors()


@pytest.fixture(autouse=True)
def _scrubbed_environment(monkeypatch: pytest.MonkeyPatch):
    """No setting of the person who runs the tests may change what they see."""
    for name in [name for name in os.environ if name.startswith(("DAILIES_", "PREFECT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PREFECT_HOME", _PREFECT_HOME.name)  # for the processes that tests start
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def wait_for(look: Callable[[], T | None], what: str, deadline_s: float = 90.0, every_s: float = 0.15) -> T:
    """Look again and again until something is there; fail with `what` when the deadline passes."""
    pause, deadline = Event(), time.monotonic() + deadline_s * PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        pause.wait(every_s)
    pytest.fail(f"not within {deadline_s} s: {what}")


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Give a maker of short films whose cuts are known: each colour lasts `seconds`, hard cuts in between."""
    folder = tmp_path_factory.mktemp("clips")

    def make(
        name: str,
        colours: tuple[str, ...] = ("red", "green", "blue"),
        *,
        seconds: float = 1.0,
        size: str = "320x180",
        sound: bool = True,
    ) -> Path:
        target = folder / name
        inputs = [f"-f lavfi -i testsrc2=s={size}:r=25:d={seconds}" for _ in colours]
        inputs.append(f"-f lavfi -i sine=frequency=440:duration={seconds * len(colours)}") if sound else None
        tinted = [f"[{n}:v]drawbox=color={colour}@0.85:t=fill,format=yuv420p[c{n}]" for n, colour in enumerate(colours)]
        joined = "".join(f"[c{n}]" for n in range(len(colours))) + f"concat=n={len(colours)}:v=1:a=0[v]"
        graph = ";".join([*tinted, joined])
        command = [str(find_tools(MediaSettings()).ffmpeg), "-nostdin", "-loglevel", "error", "-y"]
        command += " ".join(filter(None, inputs)).split()
        command += ["-filter_complex", graph, "-map", "[v]"]
        command += ["-map", f"{len(colours)}:a", "-c:a", "aac"] if sound else []
        # The name goes into the file, so that no two clips have the same bytes.
        command += ["-c:v", "libx264", "-preset", "ultrafast", "-metadata", f"title={name}", str(target)]
        subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL)
        return target

    return make


def faults_of(data: Path) -> Path:
    """Folder in which tests arm faults for a stack."""
    return data.parent / "faults"


class Live:
    """A running stack, as its users reach it."""

    wait_for = staticmethod(wait_for)

    def __init__(self, data: Path) -> None:
        self.data = data
        #: Faults armed here happen in this stack's flow processes; see core/faults.py.
        self.faults = faults_of(data)
        self.environment = stack.environment(data)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            self.settings = Settings()
        self.store = ObjectStore(self.settings.storage)
        self.service = httpx.Client(base_url=self.settings.service.url, timeout=30 * PATIENCE)
        self.prefect = httpx.Client(base_url=self.environment["PREFECT_API_URL"], timeout=30 * PATIENCE)

    def put(self, path: Path, key: str | None = None) -> str:
        """Put a file into the uploads bucket as any S3 client would; give its key."""
        key = key or path.name
        self.store.put(path, key, "video/mp4", bucket=self.settings.storage.uploads_bucket)
        return key

    def videos(self, key: str) -> list[dict[str, Any]]:
        """Give the videos made from a key, oldest first."""
        found = self.service.get("/videos", params={"limit": 500}).json()["videos"]
        return [video for video in reversed(found) if video["file_name"] == key.rsplit("/", 1)[-1]]

    def video(self, video_id: str) -> dict[str, Any]:
        """Give one video in full."""
        return self.service.get(f"/videos/{video_id}").raise_for_status().json()

    def wait_for_status(self, video_id: str, *statuses: str, deadline_s: float = 120) -> dict[str, Any]:
        """Wait until a video is in one of these states."""

        def look() -> dict[str, Any] | None:
            video = self.video(video_id)
            return video if video["status"] in statuses else None

        return wait_for(look, f"{video_id} is {' or '.join(statuses)}: {self.video(video_id)['status']}", deadline_s)

    def ingest(self, path: Path, *, until: tuple[str, ...] = ("indexed", "rejected", "failed")) -> dict[str, Any]:
        """Put a file and wait until its video is in one of these states."""
        key = self.put(path)
        video = wait_for(lambda: self.videos(key), f"a video of {key}", 30)[0]
        return self.wait_for_status(video["video_id"], *until)

    def run(self, run_id: str) -> dict[str, Any]:
        """Give a flow run as Prefect has it."""
        return self.prefect.get(f"/flow_runs/{run_id}").raise_for_status().json()

    def ended_run(self, run_id: str) -> dict[str, Any]:
        """Wait for a flow run's end, which comes a moment after its video's, and give it."""

        def look() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED") else None

        return wait_for(look, f"run {run_id} has ended", 60)

    def task_runs(self, run_id: str) -> list[dict[str, Any]]:
        """Give a flow run's task runs, in the order of their starts."""
        body = {"flow_runs": {"id": {"any_": [run_id]}}, "limit": 200}
        found = self.prefect.post("/task_runs/filter", json=body).raise_for_status().json()
        return sorted(found, key=lambda run: run["start_time"] or "")

    def part(self, name: str) -> int | None:
        """Give the process id of a part of the stack; None while it is being started."""
        state = read_state(Layout.of(self.data))
        return next((part.pid for part in state.parts if part.name == name), None) if state else None

    def flow_process(self, run_id: str) -> psutil.Process | None:
        """Give the process that executes a flow run."""
        for process in psutil.process_iter(["cmdline"]):
            if "prefect.engine" in (process.info["cmdline"] or []):
                try:
                    if process.environ().get("PREFECT__FLOW_RUN_ID") == run_id:
                        return process
                except psutil.Error:
                    continue
        return None

    def close(self) -> None:
        """Close the clients."""
        self.service.close()
        self.prefect.close()


class LiveStack:
    """The stack of this process of tests: started for the first test that needs it, ended behind those that do."""

    #: The folders whose tests need it. Between them it is ended: idle it takes a fifth of a processor.
    FOLDERS = frozenset({"browser", "chaos", "e2e", "stack"})

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._live: Live | None = None
        self._failure = ""
        #: What went wrong when it was ended; the last word of the session.
        self.complaints: list[str] = []

    def start(self) -> Live:
        """Give the stack, started where it does not run; one that did not start is not tried again."""
        if self._failure:
            pytest.fail(self._failure)
        if self._live is None:
            self._folder = Path(tempfile.mkdtemp(prefix="dailies-live-"))
            data = self._folder / "data"
            faults_of(data).mkdir()
            command = [sys.executable, "-m", "cli.main", "up", "--detach", "--data", str(data)]
            environment = {**os.environ, VARIABLE: str(faults_of(data))}
            started = subprocess.run(
                command, capture_output=True, text=True, timeout=240 * PATIENCE, check=False, env=environment
            )
            if started.returncode:
                self._failure = f"the stack did not start:\n{started.stdout}\n{started.stderr}"
                pytest.fail(self._failure)
            self._live = Live(data)
        return self._live

    def end(self) -> None:
        """End the stack where it runs; what goes wrong is a complaint, and no test's fault."""
        folder, self._folder = self._folder, None
        live, self._live = self._live, None
        if folder is None:
            return
        try:
            if live is not None:
                live.close()
            stack.stop(folder / "data")
            self.complaints += [f"left behind: {process}" for process in leftovers(Layout.of(folder / "data"))]
        except Exception as error:  # noqa: BLE001 it must not fail the test that happens to come next
            self.complaints.append(repr(error))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


_live_stack = LiveStack()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.path.parent.name not in LiveStack.FOLDERS:
        _live_stack.end()


@pytest.fixture(scope="session")
def _live_until_the_end() -> Iterator[None]:
    yield
    _live_stack.end()
    assert _live_stack.complaints == []


@pytest.fixture(scope="module")
def live(_live_until_the_end: None) -> Live:
    """One real stack, the same for every module: Postgres, object store, Prefect, service, worker."""
    return _live_stack.start()
