"""The client against a real store."""

import datetime as dt
import hashlib
import urllib.request
from pathlib import Path

import pytest
from minio import Minio

from core.errors import ObjectChanged, ObjectMissing, StorageUnavailable
from core.settings import Settings, StorageSettings
from storage.client import PART_BYTES, ObjectStore
from storage.unfinished import abort_stale
from tests.conftest import wait_for


@pytest.fixture
def client(settings: Settings) -> ObjectStore:
    return ObjectStore(settings.storage)


def upload(client: ObjectStore, content: bytes, key: str = "a.mp4") -> None:
    client.put_bytes(content, key, "video/mp4", bucket=client.settings.uploads_bucket)


def test_a_source_version_is_fetched_with_its_hash(client: ObjectStore, tmp_path: Path):
    upload(client, b"moving pictures")
    source = client.source_version("uploads", "a.mp4")
    seen: list[int] = []
    sha256 = client.fetch_source(source, tmp_path / "source", seen.append)
    assert sha256 == hashlib.sha256(b"moving pictures").hexdigest()
    assert (tmp_path / "source").read_bytes() == b"moving pictures"
    assert sum(seen) == source.size_bytes == 15


def test_an_overwritten_source_is_not_fetched(client: ObjectStore, tmp_path: Path):
    upload(client, b"one")
    source = client.source_version("uploads", "a.mp4")
    upload(client, b"two")
    with pytest.raises(ObjectChanged):
        client.fetch_source(source, tmp_path / "source")


def test_a_deleted_source_is_missing(client: ObjectStore, tmp_path: Path):
    upload(client, b"one")
    source = client.source_version("uploads", "a.mp4")
    client.delete("uploads", "a.mp4")
    with pytest.raises(ObjectMissing):
        client.fetch_source(source, tmp_path / "source")


def test_a_large_file_goes_in_parts_and_comes_back_whole(client: ObjectStore, tmp_path: Path):
    content = bytes(range(256)) * (PART_BYTES // 256) + b"and a little more"
    (tmp_path / "large").write_bytes(content)
    stored = client.put(tmp_path / "large", "v/large", "video/mp4")
    assert client.holds(stored)
    client.fetch(stored, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert b"".join(client.stream("derived", "v/large", PART_BYTES - 1, 3)) == content[PART_BYTES - 1 : PART_BYTES + 2]


def test_a_file_is_held_only_as_it_was_written(client: ObjectStore):
    stored = client.put_bytes(b"one", "v/a", "text/plain")
    assert client.holds(stored)
    client.put_bytes(b"two", "v/a", "text/plain")
    assert not client.holds(stored)
    client.delete("derived", "v/a")
    assert not client.holds(stored)


def test_a_prefix_is_listed_and_deleted_and_nothing_beside_it(client: ObjectStore):
    for key in ("v/1", "v/2/3", "w/1"):
        client.put_bytes(b"x", key, "text/plain")
    assert [found.key for found in client.list("derived", "v/")] == ["v/1", "v/2/3"]
    assert client.delete_prefix("derived", "v/") == 2
    assert [found.key for found in client.list("derived")] == ["w/1"]
    with pytest.raises(ValueError, match="whole bucket"):
        client.delete_prefix("derived", "")


def test_a_presigned_url_takes_one_upload(client: ObjectStore):
    request = urllib.request.Request(client.presign_put("videos/x/a.mp4"), data=b"sent", method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    assert client.read("uploads", "videos/x/a.mp4") == b"sent"


def test_unfinished_uploads_are_aborted_once_they_are_old(client: ObjectStore, settings: Settings):
    sdk = Minio(
        settings.storage.endpoint,
        access_key=settings.storage.access_key,
        secret_key=settings.storage.secret_key.get_secret_value(),
        secure=False,
        region=settings.storage.region,
    )
    upload_id = sdk._create_multipart_upload("uploads", "begun.mp4", {})
    sdk._upload_part("uploads", "begun.mp4", b"part", {}, upload_id, 1)
    now = dt.datetime.now(dt.UTC)
    assert client.abort_stale_uploads("uploads", now - dt.timedelta(hours=1)) == 0
    assert client.abort_stale_uploads("uploads", now + dt.timedelta(hours=1)) == 1
    assert client.abort_stale_uploads("uploads", now + dt.timedelta(hours=1)) == 0


def passed(second: dt.datetime) -> None:
    """Wait until the clock shows another second than this instant: stores round times to it."""
    later = second.replace(microsecond=0) + dt.timedelta(seconds=1)
    wait_for(lambda: dt.datetime.now(dt.UTC) > later, "another second of the clock", 3)


def test_an_upload_that_still_gets_parts_is_not_aborted_however_long_ago_it_began(client: ObjectStore):
    sdk = client._client
    upload_id = sdk._create_multipart_upload("uploads", "long.mp4", {})
    passed(dt.datetime.now(dt.UTC))
    before = dt.datetime.now(dt.UTC)
    passed(before)
    sdk._upload_part("uploads", "long.mp4", b"part", {}, upload_id, 1)
    assert client.abort_stale_uploads("uploads", before) == 0
    assert client.abort_stale_uploads("uploads", before + dt.timedelta(hours=1)) == 1


def test_unfinished_uploads_are_found_page_by_page(client: ObjectStore):
    sdk = client._client
    for name in ("a", "b", "b", "b", "c"):
        upload_id = sdk._create_multipart_upload("uploads", f"{name}.mp4", {})
        for number in (1, 2, 3):
            sdk._upload_part("uploads", f"{name}.mp4", b"part", {}, upload_id, number)
    now = dt.datetime.now(dt.UTC)
    assert abort_stale(sdk, "uploads", now - dt.timedelta(hours=1), page=2) == 0
    assert abort_stale(sdk, "uploads", now + dt.timedelta(hours=1), page=2) == 5
    assert abort_stale(sdk, "uploads", now + dt.timedelta(hours=1)) == 0


def test_a_store_that_does_not_answer_is_unavailable_and_its_keys_are_not_told():
    nobody = ObjectStore(StorageSettings(endpoint="127.0.0.1:1", access_key="AKIA", secret_key="secret-word"))
    with pytest.raises(StorageUnavailable) as caught:
        nobody.put(Path(__file__), "a", "text/plain")
    assert "secret-word" not in str(caught.value)
