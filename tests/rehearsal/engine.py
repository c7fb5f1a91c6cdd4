"""What a Docker engine would do with the containers: start them in order, ask how they are, start them again."""

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event

import psutil

from tests.conftest import PATIENCE
from tests.rehearsal.compose import ROOT, Container
from tests.rehearsal.errors import RehearsalFailed

#: Docker doubles its delay from 100 ms; a rehearsal kills each part once.
RESTART_AFTER_S = 0.3
#: A container that ended this often before it was ever healthy will not mend by itself.
STARTS_AT_MOST = 4
#: A container without a health check works when it has lived so long, and is connected to what it works with.
SETTLES_AFTER_S = 5


class Running:
    """One container's process, kept alive as its restart policy says."""

    def __init__(
        self, container: Container, argv: list[str], folder: Path, account: tuple[int, int] | None = None
    ) -> None:
        self.container = container
        self.argv = argv
        self.folder = folder
        self.account = account
        self.starts = 0
        self.started_at = 0.0
        #: What the last health check said.
        self.said = ""
        self.process: subprocess.Popen[bytes] | None = None
        self.lock = threading.Lock()
        self.is_wanted = True

    @property
    def log(self) -> Path:
        return self.folder.parent / f"{self.container.name}.log"

    @property
    def environment(self) -> dict[str, str]:
        """Only what the file says, and where the image has its programs and packages."""
        for name in ("tmp", "scratch"):
            (self.folder / name).mkdir(exist_ok=True)
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.folder / "tmp"),
            "TMPDIR": str(self.folder / "tmp"),
            **self.container.environment,
        }

    def start(self) -> None:
        with self.lock, self.log.open("ab") as log:
            if not self.is_wanted:
                return
            self.starts += 1
            self.started_at = time.monotonic()
            uid, gid = self.account or (None, None)
            self.process = subprocess.Popen(
                self.argv,
                env=self.environment,
                cwd=ROOT if self.container.is_ours else self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=uid,
                group=gid,
                extra_groups=[] if uid is not None else None,
            )

    def keep(self) -> None:
        """Start it again when it has ended and the file says so."""
        process = self.process
        if process is None or process.poll() is None or not self.is_wanted:
            return
        policy = self.container.restart
        if policy in ("unless-stopped", "always") or (policy == "on-failure" and process.returncode):
            Event().wait(RESTART_AFTER_S)
            self.start()

    def kill(self) -> None:
        """End everything in the container at once, as the kernel does when it runs out of memory."""
        if self.process is None or self.process.poll() is not None:
            return
        for process in (psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def stop(self) -> None:
        with self.lock:
            self.is_wanted = False
        if self.process is None:
            return
        children = psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        self.process.send_signal(signal.SIGINT if self.container.name == "postgres" else signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        for process in children:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.kill()
        self.process.wait(10)

    @property
    def is_done(self) -> bool:
        return self.process is not None and self.process.poll() == 0

    def is_healthy(self, programs: Mapping[str, Path]) -> bool:
        """Ask once, with the health check of the file."""
        check = self.container.health
        if check is None:
            return self._is_settled()
        word, *rest = check.command
        program = programs.get(word) or shutil.which(word, path=self.environment["PATH"])
        if program is None:
            raise RehearsalFailed(f"{self.container.name}: its health check needs {word}, which is not installed")
        try:
            done = subprocess.run(
                [str(program), *rest],
                env=self.environment,
                cwd=ROOT if self.container.is_ours else self.folder,
                capture_output=True,
                text=True,
                timeout=check.timeout_s * PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self.said = "no answer in time"
            return False
        self.said = done.stderr
        return done.returncode == 0

    def _is_settled(self) -> bool:
        if self.process is None or time.monotonic() - self.started_at < SETTLES_AFTER_S:
            return False
        with suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.process.pid).net_connections("tcp")
            return any(connection.status == psutil.CONN_ESTABLISHED for connection in found)
        return False

    def explain(self) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        asked = f"its health check said: {self.said}\n" if self.said else ""
        return f"{asked}the end of {self.container.name}'s log:\n{text[-1500:]}"


class Engine:
    """All containers of a file."""

    def __init__(self, running: list[Running], programs: Mapping[str, Path]) -> None:
        self.running = {one.container.name: one for one in running}
        self.programs = programs
        self._ended = Event()
        self._keeper = threading.Thread(target=self._keep, name="restarts", daemon=True)

    def up(self, deadline_s: float) -> None:
        """Start every container once what it depends on is as the file asks.

        Raises:
            RehearsalFailed: one did not become what another one waits for; the end of its log is in the message.
        """
        self._keeper.start()
        deadline = time.monotonic() + deadline_s * PATIENCE
        waiting = dict(self.running)
        while waiting:
            for name, one in list(waiting.items()):
                if all(self._met(*need) for need in one.container.depends_on.items()):
                    one.start()
                    del waiting[name]
            self._pause(
                deadline,
                f"{', '.join(waiting)} never started",
                [n for w in waiting.values() for n in w.container.depends_on],
            )
        for name in self.running:
            self.wait_healthy(name, max(deadline - time.monotonic(), 1) / PATIENCE, starts=1)

    def wait_healthy(self, name: str, deadline_s: float, *, starts: int) -> None:
        """Wait until a lasting container passes its health check, or a one-shot is done.

        Args:
            starts: how often it was started for a reason; without a health check, one more says that it ended by itself.
        """
        one, deadline = self.running[name], time.monotonic() + deadline_s * PATIENCE
        if self._is_one_shot(one):
            while not one.is_done:
                self._pause(deadline, f"{name} is not done", [name])
            return
        while True:
            if one.container.health is None and one.starts > starts:
                raise RehearsalFailed(f"{name} ended by itself\n{one.explain()}")
            if one.is_healthy(self.programs):
                return
            self._pause(deadline, f"{name} is not healthy", [name])

    def wait_started(self, name: str, times: int, deadline_s: float) -> None:
        """Wait until a container was started this often."""
        deadline = time.monotonic() + deadline_s * PATIENCE
        while self.running[name].starts < times:
            self._pause(deadline, f"{name} was not started again", [name])

    def kill(self, name: str) -> None:
        self.running[name].kill()

    def down(self) -> None:
        self._ended.set()
        for one in reversed(self.running.values()):
            one.stop()
        if self._keeper.is_alive():
            self._keeper.join(10)

    def _met(self, name: str, condition: str) -> bool:
        one = self.running[name]
        if one.process is None:
            return False
        if condition == "service_completed_successfully":
            return one.is_done
        return one.is_healthy(self.programs) if condition == "service_healthy" else True

    @staticmethod
    def _is_one_shot(one: Running) -> bool:
        return one.container.restart in ("on-failure", "no")

    def _pause(self, deadline: float, what: str, blamed: list[str]) -> None:
        hopeless = [n for n in blamed if self.running[n].starts > STARTS_AT_MOST and not self.running[n].is_done]
        if time.monotonic() > deadline or hopeless:
            reasons = [self.running[n].explain() for n in dict.fromkeys(blamed) if not self.running[n].is_done]
            raise RehearsalFailed("\n".join([what, *reasons]))
        self._ended.wait(0.5)

    def _keep(self) -> None:
        while not self._ended.wait(0.2):
            for one in self.running.values():
                one.keep()
