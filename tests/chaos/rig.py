"""The stack under test and everything the campaign does to it; all of it on loopback, all of it ended at the end."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg

from core.faults import VARIABLE
from core.settings import MediaSettings
from deployments.embedded import stack
from deployments.embedded.assembly import EVENTS_PATH
from deployments.embedded.layout import Layout, postgres_url
from deployments.embedded.leftovers import MARK, leftovers
from deployments.embedded.state import Phase, read_state
from media.tools import find_tools
from tasks.scratch import RESERVE_BYTES
from tests.chaos.supervisor import WEBHOOK
from tests.chaos.webhook import Line, bad_line
from tests.conftest import PATIENCE, Live, faults_of

T = TypeVar("T")
UP_WITHIN_S = 240.0
#: Little more than what a copy of a source must leave free.
SMALL_BYTES = RESERVE_BYTES + (64 << 20)
#: Small enough that faults, not encoding, take the time.
TINY = {
    "DAILIES_MEDIA__LADDER": "[360]",
    "DAILIES_MEDIA__PRESET": "ultrafast",
    "DAILIES_MEDIA__PROXY_SHORT_SIDE": "64",
    "DAILIES_SHOTS__DETECTOR": "fast",
    "DAILIES_STILLS__POSTER_SHORT_SIDE": "64",
    "DAILIES_ENCODER__FRAMES_PER_SCENE": "1",
    "DAILIES_ENCODER__CANARIES": "false",
}


def soon(look: Callable[[], T | None], within_s: float, every_s: float = 0.1) -> T | None:
    """Give what `look` finds before the deadline; None after it, and while it cannot look."""
    deadline = time.monotonic() + within_s * PATIENCE
    while time.monotonic() < deadline:
        with suppress(psutil.Error, psycopg.Error, OSError):
            if found := look():
                return found
        time.sleep(every_s)
    return None


class Rig:
    """One stack, and hands that can break it."""

    def __init__(self, data: Path, line: Line, scratch: Path, *, small_scratch: bool) -> None:
        self.data, self.line = data, line
        #: Where the stack's flows keep media in work, and whether that is a small disk of its own, which a fault may fill.
        self.scratch, self.small_scratch = scratch, small_scratch
        self.live = Live(data)
        self.faults = faults_of(data)
        line.target = f"{self.live.settings.service.url}{EVENTS_PATH}"

    def part(self, name: str) -> psutil.Process | None:
        """Give the process of one part, while it is up."""
        state = read_state(Layout.of(self.data))
        for part in state.parts if state else ():
            if part.name == name and part.pid:
                with suppress(psutil.NoSuchProcess):
                    return psutil.Process(part.pid)
        return None

    def flows(self) -> list[psutil.Process]:
        """List the processes that execute flow runs of this stack."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            with suppress(psutil.Error):
                is_flow = "prefect.engine" in (process.info["cmdline"] or [])
                if is_flow and process.environ().get(MARK) == str(self.data):
                    found.append(process)
        return found

    def media(self) -> list[psutil.Process]:
        """List the media processes of this stack's flow runs."""
        found = []
        for process in psutil.process_iter(["name"]):
            if "ffmpeg" in (process.info["name"] or ""):
                # Its own environment is scrubbed: its ancestors say whose it is.
                with suppress(psutil.Error):
                    if any(_is_of(parent, self.data) for parent in process.parents()):
                        found.append(process)
        return found

    def rows(self, query: str, *values: Any, database: str = "dailies") -> list[tuple[Any, ...]]:
        """Ask the database directly, past everything that is being tested."""
        url = postgres_url(Layout.of(self.data).postgres, database, "postgresql")
        with psycopg.connect(url, connect_timeout=3, autocommit=True) as session:
            done = session.execute(query, values)
            return done.fetchall() if done.description else []

    def patiently(self, call: Callable[[], T], within_s: float = 90.0) -> T:
        """Do what any client does while parts are down: try again."""
        deadline = time.monotonic() + within_s * PATIENCE
        while True:
            try:
                return call()
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def is_whole(self) -> bool:
        """Say whether every part is up."""
        return stack.status(self.data).phase is Phase.UP and all(
            part.state in ("up", "done") for part in stack.status(self.data).parts
        )


@contextmanager
def rig(environment: dict[str, str] | None = None) -> Iterator[Rig]:
    """Run a stack with a bad line in it; whatever happens, nothing of it is left."""
    with (
        tempfile.TemporaryDirectory(prefix="dailies-chaos-") as folder,
        ExitStack() as stopping,
        bad_line() as line,
    ):
        data = (Path(folder) / "data").resolve()
        faults_of(data).mkdir()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DAILIES_", "PREFECT_"))}
        scratch = Path(folder) / "scratch"
        small = stopping.enter_context(small_disk(scratch))
        given = {**inherited, **TINY, **(environment or {}), WEBHOOK: line.url}
        given |= {"DAILIES_SCRATCH": str(scratch), VARIABLE: str(faults_of(data))}
        said = Path(folder) / "supervisor.log"
        with said.open("wb") as output:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.supervisor", str(data)],
                env=given,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=Path(__file__).parents[2],
            )
        try:
            up = soon(lambda: supervisor.poll() is not None or stack.status(data).phase is Phase.UP, UP_WITHIN_S)
            if not up or supervisor.poll() is not None:
                raise RuntimeError(f"the stack did not start:\n{said.read_text()}")
            running = Rig(data, line, scratch, small_scratch=small)
            try:
                yield running
            finally:
                running.live.close()
        finally:
            for part in ("postgres", "store", "prefect", "service", "worker"):
                _continue(data, part)
            stack.stop(data)
            supervisor.wait(30)
        left = leftovers(Layout.of(data))
        if left:
            raise AssertionError(f"processes were left behind: {left}")


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Make a folder that is a small disk of its own where the system lets us; give whether it did."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_BYTES}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True, timeout=30).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=30)


def _is_of(process: psutil.Process, data: Path) -> bool:
    try:
        return process.environ().get(MARK) == str(data)
    except psutil.Error:
        return False


def _continue(data: Path, part: str) -> None:
    """Wake a part that a fault froze, so that it can be ended in good order."""
    state = read_state(Layout.of(data))
    for status in state.parts if state else ():
        if status.name == part and status.pid:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(status.pid).resume()


def make_clip(folder: Path, number: int, seconds: float) -> Path:
    """Make a short film unlike every other one."""
    target = folder / f"clip-{number:04}.mp4"
    colours = ("red", "green", "blue", "white", "orange", "purple")
    first, second = colours[number % 6], colours[(number + 1 + number // 6) % 6]
    half = f"{seconds / 2:.2f}"
    command = [str(find_tools(MediaSettings()).ffmpeg), "-nostdin", "-loglevel", "error", "-y"]
    for colour in (first, second):
        command += [
            "-f",
            "lavfi",
            "-i",
            f"color={colour}:s=640x360:r=25:d={half},drawbox=x={number % 600}:w=40:h=40,noise=alls=20",
        ]
    command += ["-filter_complex", "[0:v][1:v]concat=n=2:v=1,format=yuv420p[v]", "-map", "[v]"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-metadata", f"title=clip {number}", str(target)]
    subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL)
    return target
