"""A whole compose file brought up as local processes."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from core.settings import StorageSettings
from deployments.compose import env
from deployments.embedded.account import account_for_postgres, closed_folders, give
from storage.client import ObjectStore
from tests.rehearsal import stand_ins
from tests.rehearsal.compose import ROOT, Container, HealthCheck, Network, read
from tests.rehearsal.engine import Engine, Running

FILE = ROOT / "docker-compose.yml"


@dataclass(frozen=True)
class Rehearsal:
    """A running file, as its users reach it."""

    engine: Engine
    service: httpx.Client
    store: ObjectStore


@contextmanager
def rehearsed(file: Path, *, deadline_s: float) -> Iterator[Rehearsal]:
    """Bring a compose file up; end and remove everything afterwards."""
    # Whoever ends the tests ends the processes they started.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    # Not a folder of pytest's, which other accounts cannot enter.
    folder = Path(tempfile.mkdtemp(prefix="dailies-rehearsal-"))
    folder.chmod(0o755)
    engine = None
    try:
        env.write(folder / ".env")
        with (folder / ".env").open("a") as settings:
            settings.write("DAILIES_EVENTS__TARGET=\n")  # the stand-in keeps no document of subscriptions
        containers = read(file, folder / ".env")
        ports = stand_ins.store_ports()
        network = Network.of(list(containers), {"store:9000": f"127.0.0.1:{ports['s3.port']}"})
        engine = Engine([_running(c, network, ports, folder) for c in containers.values()], stand_ins.wrapped_checks())
        engine.up(deadline_s)
        ours = network.placed(containers["service"], folder).environment
        storage = StorageSettings(
            endpoint=ours["DAILIES_STORAGE__ENDPOINT"],
            access_key=ours["DAILIES_STORAGE__ACCESS_KEY"],
            secret_key=ours["DAILIES_STORAGE__SECRET_KEY"],
        )
        url = f"http://{network.addresses['service']}:{ours['DAILIES_SERVICE__PORT']}"
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as service:
            yield Rehearsal(engine, service, ObjectStore(storage))
    finally:
        if engine:
            engine.down()
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)


def _running(container: Container, network: Network, ports: dict[str, int], folder: Path) -> Running:
    place = folder / container.name
    place.mkdir()
    address = network.addresses[container.name]
    placed = network.placed(container, place)
    if container.name == "postgres":
        server = stand_ins.Postgres(placed, address, place, ROOT / "deployments/compose/databases.sql")
        return Running(placed, server.argv, place, _ids(server.account))
    if container.name == "redis":
        return Running(placed, stand_ins.redis_argv(placed, address, place), place)
    if container.name == "store":
        argv = stand_ins.make_store(container, ports, place, network.addresses["service"])
        # The stand-in has no `mc`; of its webhook it is told in a file.
        ready = ("python", "-m", "deployments.compose.healthy", f"http://127.0.0.1:{ports['s3.port']}/healthz")
        return Running(replace(placed, health=HealthCheck(ready, 5, 5, 24)), argv, place)
    # As in the image: an account that may change nothing but its scratch and temporary folders.
    account = account_for_postgres()
    if any(closed_folders(needed) for needed in (ROOT, Path(sys.executable).resolve())):
        account = None  # it could not reach the interpreter
    for name in ("tmp", "scratch"):
        (place / name).mkdir()
        if account:
            give(place / name, account)
    return Running(placed, list(placed.command), place, _ids(account))


def _ids(account: object) -> tuple[int, int] | None:
    return None if account is None else (account.uid, account.gid)  # type: ignore[attr-defined]


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    for program, package in (("docker-compose", "docker-compose"), ("redis-server", "redis-server")):
        if shutil.which(program) is None:
            if os.environ.get("CI"):
                pytest.fail(f"{program} is required here: apt-get install {package}")
            pytest.skip(
                f"{program} is not installed: `apt-get install {package}` brings it; no Docker engine is needed"
            )


@pytest.fixture(scope="module")
def rehearsal() -> Iterator[Rehearsal]:
    with rehearsed(FILE, deadline_s=300) as running:
        yield running


@pytest.fixture
def ingest(rehearsal: Rehearsal, make_clip: Callable[..., Path]) -> Callable[[str], dict[str, object]]:
    """Put a film of its own name as any S3 client would, and wait until its video has ended."""
    from tests.conftest import wait_for

    def put(name: str) -> dict[str, object]:
        rehearsal.store.put(make_clip(name, seconds=0.5), name, "video/mp4", bucket="uploads")

        def look() -> dict[str, object] | None:
            try:
                videos = rehearsal.service.get("/videos", params={"limit": 100}).raise_for_status().json()["videos"]
            except httpx.HTTPError:
                return None
            found = [v for v in videos if v["file_name"] == name and v["status"] in ("indexed", "rejected", "failed")]
            return found[0] if found else None

        return wait_for(look, f"{name} is indexed", 240)

    return put
