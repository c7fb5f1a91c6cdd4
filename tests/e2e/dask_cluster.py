"""A stack whose heavy tasks run on a Dask cluster: one scheduler and two workers of one slot each, all real processes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from distributed import Client

from core.faults import VARIABLE
from deployments.embedded import stack
from tests.conftest import PATIENCE, Live, faults_of, wait_for

CHUNK_S = 6
#: Part of what results depend on, so the flow's process and the workers agree about it.
AGREED = {
    "DAILIES_MEDIA__CHUNK_S": str(CHUNK_S),
    "DAILIES_MEDIA__LADDER": "[720]",
    "DAILIES_SHOTS__DETECTOR": "fast",
}
DASK = (sys.executable, "-m", "dask")
#: What docker-compose.yml and docs/deployment.md give a worker, too.
AS_DEPLOYED = ("--memory-limit", "0", "--no-nanny")


class Cluster:
    """The scheduler, its workers, and the stack that sends them work."""

    def __init__(self, folder: Path, agreed: Mapping[str, str]) -> None:
        self.folder, self._agreed = folder, agreed
        self.scheduler = self._start(
            "scheduler", {}, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"
        )
        said = wait_for(
            lambda: re.search(r"Scheduler at:\s+(tcp://\S+)", self.log("scheduler")), "the scheduler is up", 60
        )
        self.address = said[1]
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.live: Live

    def _start(self, name: str, environment: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            given = {**os.environ, **environment, "DASK_TEMPORARY_DIRECTORY": str(self.folder)}
            return subprocess.Popen(
                [*DASK, *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=given, start_new_session=True
            )

    def log(self, name: str) -> str:
        """Give what a process wrote so far."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def scratch(self, name: str) -> Path:
        """Give a worker's scratch folder, which is its own as on a machine of its own."""
        return self.folder / f"scratch-{name}"

    def start_worker(self, name: str, core: int) -> None:
        """Start a worker that has one core, and wait until the scheduler knows it."""
        own = {"DAILIES_SCRATCH": str(self.scratch(name))}
        words = ("worker", self.address, "--name", name, "--nthreads", "1", "--resources", "CPU=1")
        places = ("--local-directory", str(self.folder / f"dask-{name}"), "--no-dashboard")
        environment = {**self.live.environment, **self._agreed, **own}
        self.workers[name] = self._start(name, environment, *words, *places, *AS_DEPLOYED)
        cores = sorted(os.sched_getaffinity(0))
        psutil.Process(self.workers[name].pid).cpu_affinity([cores[core % len(cores)]])
        wait_for(lambda: name in self.names(), f"worker {name} is known to the scheduler", 60)

    def names(self) -> set[str]:
        """Name the workers that the scheduler knows."""
        with Client(self.address) as client:
            return {worker["name"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()}

    def on_workers(self, function: Any) -> dict[str, Any]:
        """Give what a function returns on each worker, by the worker's name."""
        with Client(self.address) as client:
            names = {at: worker["name"] for at, worker in client.scheduler_info(n_workers=-1)["workers"].items()}
            return {names[at]: found for at, found in client.run(function).items()}

    def finished(self, name: str, task: str) -> list[str]:
        """Name the task runs that a worker finished, out of those whose names begin so."""
        return re.findall(rf"Task run '({task}[^']*)' - Finished in state Completed", self.log(name))

    def encodes(self, name: str) -> bool:
        """Say whether a media process of this worker is at work just now."""
        try:
            children = psutil.Process(self.workers[name].pid).children(recursive=True)
            return any("ffmpeg" in child.name() for child in children)
        except psutil.Error:
            return False

    def stop(self) -> None:
        """End the workers, then the scheduler."""
        for process in (*self.workers.values(), self.scheduler):
            if process.poll() is None:
                process.terminate()
        for process in (*self.workers.values(), self.scheduler):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


@contextmanager
def stack_up(data: Path, given: Mapping[str, str]) -> Iterator[Live]:
    """Start a stack whose processes have these variables, and stop it."""
    command = [sys.executable, "-m", "cli.main", "up", "--detach", "--data", str(data)]
    faults_of(data).mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, VARIABLE: str(faults_of(data)), **given}
    with ExitStack() as stopping:
        stopping.callback(stack.stop, data)
        subprocess.run(command, check=True, timeout=240 * PATIENCE, env=environment)
        live = Live(data)
        stopping.callback(live.close)
        yield live


@contextmanager
def stack_on_dask(folder: Path, agreed: Mapping[str, str], *, data: Path | None = None) -> Iterator[Cluster]:
    """Start scheduler, stack and both workers; end them all.

    Args:
        agreed: settings that the flow's process and the workers must agree about, because results depend on them.
    """
    cluster = Cluster(folder, agreed)
    given = {"DAILIES_TASK_RUNNER": "dask", "DAILIES_DASK__ADDRESS": cluster.address, **agreed}
    try:
        with stack_up(data or folder / "stack" / "data", given) as cluster.live:
            try:
                for core, name in enumerate(("a", "b")):
                    cluster.start_worker(name, core)
                yield cluster
            finally:
                cluster.stop()  # before the stack: a worker that ends still has a word for the Prefect server
    finally:
        cluster.stop()
