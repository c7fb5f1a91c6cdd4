"""The parts that are not ours, from wheels and packages instead of images: Postgres and Redis as told, any S3 store."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from core.agreed import EVENTS_PATH
from deployments.embedded.account import account_for_postgres, give, open_passage
from deployments.embedded.ports import LOOPBACK, choose_ports
from deployments.embedded.postgres import programs
from deployments.embedded.store import PORT_FLAGS, Access, Webhook, store_part
from tests.rehearsal.compose import Container
from tests.rehearsal.errors import RehearsalFailed


class Postgres:
    """The cluster that the image's entry point would make: role, password, database, the SQL files of the first start."""

    def __init__(self, container: Container, address: str, folder: Path, first_start: Path) -> None:
        self.environment = container.environment
        self.address = address
        self.folder = folder
        self.account = account_for_postgres()
        self.cluster = folder / "cluster"
        words = list(container.command)
        if words[:1] != ["postgres"]:
            raise RehearsalFailed(f"postgres: the command must start with postgres: {words}")
        listen = ["-c", f"listen_addresses={address}", "-c", f"unix_socket_directories={folder}"]
        # Speed, not durability: it is killed, but the machine stays on.
        self.argv = [str(programs() / "postgres"), "-D", str(self.cluster), *words[1:], *listen, "-c", "fsync=off"]
        self._initdb(first_start)

    def _initdb(self, first_start: Path) -> None:
        role, database = self.environment["POSTGRES_USER"], self.environment["POSTGRES_DB"]
        password = self.folder / "password"
        password.write_text(self.environment["POSTGRES_PASSWORD"])
        if self.account:
            give(self.folder, self.account)
            open_passage(self.folder)
            open_passage(programs())
        argv = [str(programs() / "initdb"), "-D", str(self.cluster), f"--username={role}", f"--pwfile={password}"]
        self._run([*argv, "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"])
        # The first start alone: one program reads SQL and ends.
        single = [str(programs() / "pg_ctl"), "-D", str(self.cluster), "-w", "-o"]
        self._run([*single, f"-c listen_addresses='' -c unix_socket_directories={self.folder}", "start"])
        try:
            self._psql("postgres", f'CREATE DATABASE "{database}"')
            self._psql(database, None, file=first_start)
        finally:
            self._run([str(programs() / "pg_ctl"), "-D", str(self.cluster), "-w", "-m", "fast", "stop"])

    def _psql(self, database: str, command: str | None, file: Path | None = None) -> None:
        role = self.environment["POSTGRES_USER"]
        argv = [
            str(programs() / "psql"),
            "-X",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            str(self.folder),
            "-U",
            role,
            "-d",
            database,
        ]
        argv += ["-c", command] if command else []
        sql = file.read_text() if file else ""
        env = {**os.environ, "PGPASSWORD": self.environment["POSTGRES_PASSWORD"]}
        done = subprocess.run(argv, input=sql, capture_output=True, text=True, env=env, timeout=60, check=False)
        if done.returncode:
            raise RehearsalFailed(f"postgres: the SQL of the first start failed: {done.stderr}")

    def _run(self, argv: list[str]) -> None:
        who = self.account
        with (self.folder.parent / "postgres-setup.log").open("a") as log:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                timeout=120,
                check=False,
                user=who.uid if who else None,
                group=who.gid if who else None,
                extra_groups=[] if who else None,
            )
        if done.returncode:
            raise RehearsalFailed(f"postgres: {argv[0]} failed: {Path(log.name).read_text()[-2000:]}")


def redis_argv(container: Container, address: str, folder: Path) -> list[str]:
    """Give the file's own command, bound to the container's address and folder."""
    server = shutil.which("redis-server")
    if server is None or container.command[:1] != ("redis-server",):
        raise RehearsalFailed(f"redis: not a redis-server command, or none is installed: {container.command}")
    return [server, *container.command[1:], "--bind", address, "--dir", str(folder)]


def store_ports() -> dict[str, int]:
    """Choose where the stand-in for MinIO listens."""
    return choose_ports(PORT_FLAGS, {})


def make_store(container: Container, ports: dict[str, int], folder: Path, service: str) -> list[str]:
    """Configure the embedded store as the file configures MinIO; give its command.

    Args:
        service: address of the service's container, as the webhook's endpoint names it.
    """
    env = container.environment
    if env.get("MINIO_NOTIFY_WEBHOOK_ENABLE_DAILIES") != "on":
        raise RehearsalFailed("store: the webhook is not enabled")
    endpoint = env["MINIO_NOTIFY_WEBHOOK_ENDPOINT_DAILIES"].replace("//service:", f"//{service}:")
    if not endpoint.endswith(EVENTS_PATH):
        raise RehearsalFailed(f"store: the webhook goes to {endpoint}")
    access = Access(f"{LOOPBACK}:{ports['s3.port']}", env["MINIO_ROOT_USER"], env["MINIO_ROOT_PASSWORD"])
    webhook = Webhook(endpoint, env["MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_DAILIES"], "uploads")
    part = store_part(folder, folder / "log", ports=ports, access=access, buckets=(), webhook=webhook)
    part.prepare()
    return list(part.argv)


def wrapped_checks() -> dict[str, Path]:
    """Programs that health checks of other people's images name, where a wheel has them."""
    return {"pg_isready": programs() / "pg_isready", "python": Path(sys.executable)}
