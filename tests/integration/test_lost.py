"""What the comparison of bucket and inbox makes of a store that answers oddly."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from sqlalchemy import select

from core.settings import Settings
from dispatch.lost import find_lost
from models import SourceObject
from models.session import transaction
from storage.client import object_store

LAST_MODIFIED = "Fri, 01 Jan 2027 10:00:00 GMT"


class OddStore:
    """A bucket as a store may show it: what it answers to a HEAD of each key."""

    def __init__(self) -> None:
        self.heads: dict[str, tuple[int, dict[str, str]]] = {}

    def puts(self, key: str, etag: str, **headers: str) -> None:
        """Hold an object that may be looked at."""
        told = {"ETag": f'"{etag}"', "Content-Length": "1", "Last-Modified": LAST_MODIFIED}
        self.heads[key] = (200, told | {name.replace("_", "-"): value for name, value in headers.items()})

    def listing(self) -> str:
        rows = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2027-01-01T10:00:00.000Z</LastModified>"
            f"<ETag>listed-{told.get('ETag', '')[1:-1]}</ETag><Size>1</Size></Contents>"
            for key, (_, told) in self.heads.items()
        )
        return f"<ListBucketResult><Name>uploads</Name><Prefix></Prefix><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"


@pytest.fixture
def odd() -> Iterator[tuple[OddStore, str]]:
    store = OddStore()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = store.listing().encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            status, headers = store.heads[self.path.partition("?")[0].split("/", 2)[2]]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield store, f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def facing(settings: Settings, endpoint: str) -> Settings:
    storage = settings.storage.model_copy(update={"endpoint": endpoint})
    return settings.model_copy(update={"storage": storage})


def inbox_keys(settings: Settings) -> list[str]:
    with transaction(settings.database) as session:
        return list(session.scalars(select(SourceObject.key).order_by(SourceObject.key)))


@pytest.mark.parametrize("status", [400, 403])
def test_an_object_that_may_not_be_looked_at_holds_up_no_other(
    settings: Settings, odd: tuple[OddStore, str], status: int
):
    store, endpoint = odd
    store.heads["a.mp4"] = (status, {"Content-Length": "0"})
    store.puts("b.mp4", "e")
    found = find_lost(facing(settings, endpoint))
    assert (found.recovered, found.unreadable) == (1, 1)
    assert inbox_keys(settings) == ["b.mp4"]


def test_an_object_that_is_listed_otherwise_than_it_is_counts_once(settings: Settings, odd: tuple[OddStore, str]):
    store, endpoint = odd
    store.puts("a.mp4", "e")
    facing_odd = facing(settings, endpoint)
    assert [find_lost(facing_odd).recovered for _ in range(2)] == [1, 0]


def test_an_overwrite_in_a_bucket_with_suspended_versioning_is_another_version(
    settings: Settings, odd: tuple[OddStore, str]
):
    store, endpoint = odd
    client = object_store(facing(settings, endpoint).storage)
    store.puts("a.mp4", "first", x_amz_version_id="null")
    first = client.source_version("uploads", "a.mp4")
    store.puts("a.mp4", "second", x_amz_version_id="null")
    second = client.source_version("uploads", "a.mp4")
    assert (first.version_id, second.version_id) == (None, None)
    assert first.version != second.version
