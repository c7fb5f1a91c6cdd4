import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import psycopg
import pytest
from minio import Minio
from sqlalchemy import create_engine, text

from deployments.embedded.layout import MAX_SOCKET_PATH, POSTGRES_SOCKET, Layout, socket_folder
from deployments.embedded.logs import MAX_BYTES, rotate, tail
from deployments.embedded.ports import LOOPBACK, choose_ports
from deployments.embedded.postgres import embedded_postgres
from deployments.embedded.processes import is_alive
from deployments.embedded.store import Webhook, embedded_store
from tests.stack.conftest import ROOT, wait_until


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("part")


def test_a_port_is_kept_while_it_is_free_and_replaced_when_it_is_taken():
    kept = choose_ports(("a", "b"), {})
    assert choose_ports(("a", "b"), kept) == kept
    with socket.socket() as taken:
        taken.bind((LOOPBACK, kept["a"]))
        taken.listen()
        moved = choose_ports(("a", "b"), kept)
    assert moved["a"] != kept["a"]
    assert moved["b"] == kept["b"]


def test_one_port_is_never_given_twice():
    kept = choose_ports(("a",), {})
    both = choose_ports(("a", "b"), {"a": kept["a"], "b": kept["a"]})
    assert len(set(both.values())) == 2


def test_a_socket_whose_path_would_be_too_long_goes_elsewhere(tmp_path: Path):
    deep = tmp_path / ("x" * 100)
    assert socket_folder(tmp_path / "p") == tmp_path / "p" / "socket"
    assert len(os.fsencode(socket_folder(deep) / POSTGRES_SOCKET)) <= MAX_SOCKET_PATH
    assert socket_folder(deep) != socket_folder(tmp_path / ("y" * 100))


def test_a_data_folder_has_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    assert Layout.of(Path("real")) == Layout.of(tmp_path / "link") == Layout.of(Path("link/../real"))


def test_a_log_that_grew_too_large_is_moved_aside_while_it_is_written(tmp_path: Path):
    log = tmp_path / "part.log"
    with log.open("ab") as writer:
        writer.write(b"old\n" * (MAX_BYTES // 4 + 1))
        writer.flush()
        rotate(log)
        writer.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "part.log.1").stat().st_size == MAX_BYTES


def test_the_tail_of_a_log_leaves_out_older_stories(tmp_path: Path):
    log = tmp_path / "part.log"
    log.write_text("older\n")
    mark = log.stat().st_size
    with log.open("a") as writer:
        writer.write("one\ntwo\nthree\n")
    assert tail(log, lines=2, since=mark) == "two\nthree"
    assert tail(log, since=mark) == "one\ntwo\nthree"
    assert tail(tmp_path / "none.log") == ""


def test_postgres_has_its_extensions_and_keeps_rows_after_a_crash(folder: Path):
    with embedded_postgres(folder / "pg", durable=True) as url:
        with psycopg.connect(url.replace("+psycopg", "")) as session:
            session.execute("CREATE TABLE t AS SELECT '[1,2,3]'::vector AS v, similarity('cat', 'cart') AS s")
            session.execute("SELECT unaccent('é')")
        pid = int((folder / "pg" / "cluster" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
    with embedded_postgres(folder / "pg", durable=True) as url, psycopg.connect(url.replace("+psycopg", "")) as session:
        assert session.execute("SELECT count(*) FROM t").fetchone() == (1,)
    assert [p for p in psutil.process_iter(["name"]) if p.info["name"] == "postgres" and _is_in(p, folder)] == []


def test_a_pid_file_that_names_another_program_does_not_stop_postgres(folder: Path):
    with embedded_postgres(folder / "pg"):
        pass
    pid_file = folder / "pg" / "cluster" / "postmaster.pid"
    pid_file.write_text(
        f"{os.getpid()}\n{folder / 'pg' / 'cluster'}\n1\n5432\n{folder / 'pg' / 'socket'}\n\n 1 1\nready\n"
    )
    with embedded_postgres(folder / "pg") as url, psycopg.connect(url.replace("+psycopg", "")) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_folder_may_have_any_name(folder: Path):
    odd = folder / """it's, "odd" 100% ü"""
    with embedded_postgres(odd / "pg") as url:
        engine = create_engine(url)
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
        engine.dispose()
    with embedded_store(odd / "store") as access:
        client = Minio(access.endpoint, access.access_key, access.secret_key, secure=False)
        client.put_object("uploads", "a", io.BytesIO(b"1"), 1)
    assert {path.name for path in odd.iterdir()} == {"pg", "pg.log", "store", "store.log"}


def test_postgres_listens_on_no_port(folder: Path):
    with embedded_postgres(folder / "pg"):
        pid = int((folder / "pg" / "cluster" / "postmaster.pid").read_text().split()[0])
        assert [c for c in psutil.Process(pid).net_connections() if c.status == psutil.CONN_LISTEN] == []


class _Receiver(HTTPServer):
    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Hook)
        self.got: list[tuple[str | None, dict]] = []


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((self.headers["Authorization"], body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[_Receiver]:
    server = _Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_store_announces_uploads_alone_and_keeps_them(folder: Path, receiver: _Receiver):
    hook = Webhook(f"http://{LOOPBACK}:{receiver.server_port}/events", "se-cret", "uploads")
    with embedded_store(folder / "store", webhook=hook) as access:
        client = Minio(access.endpoint, access.access_key, access.secret_key, secure=False)
        client.put_object("derived", "a.mp4", io.BytesIO(b"1"), 1)
        client.put_object("uploads", "videos/b c.mp4", io.BytesIO(b"22"), 2)
        wait_until(lambda: any(b["key"].endswith("b c.mp4") for _, b in receiver.got), "the upload is announced")
    assert {token for token, _ in receiver.got} == {"Bearer se-cret"}
    assert not any("/derived" in body["key"] for _, body in receiver.got)
    with embedded_store(folder / "store") as access:
        client = Minio(access.endpoint, access.access_key, access.secret_key, secure=False)
        assert client.stat_object("uploads", "videos/b c.mp4").size == 2


def test_the_store_listens_on_loopback_alone_and_leaves_no_socket(folder: Path):
    with embedded_store(folder / "store") as access:
        # Another test's store may be a child of this process, too.
        weeds = [p for p in psutil.Process().children() if p.name() == "weed"]
        weed = next(p for p in weeds if str(folder) in p.cwd())
        listening = [c.laddr for c in weed.net_connections() if c.status == psutil.CONN_LISTEN]
        assert {address.ip for address in listening} == {LOOPBACK}
        assert access.secret_key not in " ".join(weed.cmdline())
        ports = [address.port for address in listening]
    assert [path for port in ports for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")] == []


def test_parts_die_with_the_process_that_runs_them(folder: Path):
    script = (
        "import sys\nfrom pathlib import Path\nfrom deployments.embedded.postgres import embedded_postgres\n"
        f"with embedded_postgres(Path({str(folder / 'pg')!r})):\n    print('up', flush=True)\n    sys.stdin.read()\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"up\n"
    postgres = psutil.Process(owner.pid).children()
    owner.kill()
    owner.communicate(timeout=30)
    wait_until(lambda: not any(map(is_alive, postgres)), "it is gone")


def _is_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder)
    except psutil.Error:
        return False
