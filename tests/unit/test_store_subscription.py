"""Subscribing the webhook: against a stand-in that keeps the document a real store keeps, in its wire form.

The embedded store is told of its webhook in a file and keeps no such document; MinIO and S3 do.
"""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree as ET

import pytest

from core.settings import StorageSettings
from storage.client import ObjectStore

TARGET = "arn:minio:sqs::DAILIES:webhook"
EMPTY = b'<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></NotificationConfiguration>'


class Bucket:
    """A bucket's notification document, and how often it was written."""

    def __init__(self) -> None:
        self.document = EMPTY
        self.writes = 0
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer(bucket.document)

            def do_PUT(self) -> None:
                bucket.document = self.rfile.read(int(self.headers["Content-Length"]))
                bucket.writes += 1
                self.answer(b"")

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def targets(self) -> list[str]:
        return [element.text or "" for element in ET.fromstring(self.document).iter() if element.tag.endswith("Queue")]

    @property
    def events(self) -> set[str]:
        return {element.text or "" for element in ET.fromstring(self.document).iter() if element.tag.endswith("Event")}

    def store(self) -> ObjectStore:
        endpoint = f"127.0.0.1:{self.server.server_address[1]}"
        return ObjectStore(StorageSettings(endpoint=endpoint, access_key="a" * 10, secret_key="b" * 10))

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    made = Bucket()
    yield made
    made.close()


def test_a_new_bucket_is_subscribed_to_every_kind_of_creation(bucket: Bucket) -> None:
    assert bucket.store().announce_uploads(TARGET)
    assert bucket.targets == [TARGET]
    assert bucket.events == {"s3:ObjectCreated:*"}


def test_subscribing_again_writes_nothing(bucket: Bucket) -> None:
    bucket.store().announce_uploads(TARGET)
    assert not bucket.store().announce_uploads(TARGET)
    assert bucket.writes == 1


def test_subscriptions_of_others_stay(bucket: Bucket) -> None:
    bucket.store().announce_uploads("arn:minio:sqs::OTHER:webhook")
    bucket.store().announce_uploads(TARGET)
    assert bucket.targets == ["arn:minio:sqs::OTHER:webhook", TARGET]
