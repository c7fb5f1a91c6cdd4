"""The object store: one small client over the minio SDK, which speaks to every S3 store."""

import datetime as dt
import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.notificationconfig import QueueConfig
from pydantic import BaseModel, ConfigDict

from core.errors import ObjectChanged, ObjectMissing, StorageUnavailable
from core.settings import StorageSettings
from core.values import SourceVersion, StoredFile
from storage.failures import storage_errors
from storage.unfinished import abort_stale

CHUNK_BYTES: Final = 1 << 20
#: Parts of multipart uploads; S3 allows 5 MiB to 5 GiB, and 10,000 parts.
PART_BYTES: Final = 16 << 20


class ObjectStat(BaseModel):
    """What the store says of one object."""

    model_config = ConfigDict(frozen=True)

    key: str
    size_bytes: int
    etag: str
    last_modified: dt.datetime
    version_id: str | None = None
    content_type: str | None = None


class ObjectStore:
    """Objects of one store; safe to share between threads."""

    def __init__(self, settings: StorageSettings) -> None:
        self.settings = settings
        self._client = self._connect(settings.endpoint)
        # Signing needs no connection; the region is given so that none is made to ask for it.
        self._signer = self._connect(settings.public_endpoint or settings.endpoint)

    def _connect(self, endpoint: str) -> Minio:
        pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=5, read=60),
            maxsize=16,
            retries=urllib3.Retry(total=2, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]),
        )
        return Minio(
            endpoint,
            access_key=self.settings.access_key,
            secret_key=self.settings.secret_key.get_secret_value(),
            secure=self.settings.secure,
            region=self.settings.region,
            http_client=pool,
        )

    def ping(self) -> None:
        """Ask for both buckets.

        Raises:
            StorageUnavailable: no answer (transient).
            ObjectMissing: a bucket is not there; bootstrap makes it (permanent).
        """
        for bucket in (self.settings.uploads_bucket, self.settings.derived_bucket):
            with storage_errors(f"Looking for bucket {bucket}"):
                if not self._client.bucket_exists(bucket):
                    raise ObjectMissing(f"Bucket {bucket} does not exist: run bootstrap.")

    def ensure_bucket(self, bucket: str) -> bool:
        """Make a bucket when it is missing; say whether it was made."""
        with storage_errors(f"Making bucket {bucket}"):
            if self._client.bucket_exists(bucket):
                return False
            self._client.make_bucket(bucket)
            return True

    def announce_uploads(self, target: str) -> bool:
        """Let the store tell `target` (an ARN it knows) of every new upload; say whether that was new to it.

        Other subscriptions of the bucket stay as they are.
        """
        bucket = self.settings.uploads_bucket
        with storage_errors(f"Subscribing {target} to bucket {bucket}"):
            found = self._client.get_bucket_notification(bucket)
            if any(queue.queue == target for queue in found.queue_config_list):
                return False
            wanted = QueueConfig(["s3:ObjectCreated:*"], config_id="dailies", queue=target)
            found.queue_config_list.append(wanted)
            self._client.set_bucket_notification(bucket, found)
            return True

    def stat(self, bucket: str, key: str, version_id: str | None = None) -> ObjectStat:
        """Describe one object.

        Raises:
            ObjectMissing: there is none (permanent).
        """
        with storage_errors(f"Looking at {bucket}/{key}"):
            found = self._client.stat_object(bucket, key, version_id=version_id)
        return ObjectStat(
            key=key,
            size_bytes=found.size or 0,
            etag=(found.etag or "").strip('"'),
            last_modified=found.last_modified or dt.datetime.fromtimestamp(0, dt.UTC),
            # A bucket whose versioning is suspended gives every object this one, again after an overwrite.
            version_id=None if found.version_id in ("", "null") else found.version_id,
            content_type=found.content_type,
        )

    def source_version(self, bucket: str, key: str) -> SourceVersion:
        """Give the version of an uploaded object that is in the store now.

        Raises:
            ObjectMissing: there is none (permanent).
        """
        found = self.stat(bucket, key)
        return SourceVersion(
            bucket=bucket,
            key=key,
            etag=found.etag,
            last_modified=found.last_modified,
            size_bytes=found.size_bytes,
            version_id=found.version_id,
        )

    def fetch_source(self, source: SourceVersion, target: Path, on_bytes: Callable[[int], None] | None = None) -> str:
        """Stream exactly this version of a source into `target`; give the sha256 of its content in hex.

        Raises:
            ObjectChanged: the object was overwritten since (permanent).
            ObjectMissing: it was deleted (permanent).
            StorageUnavailable: the connection broke, or too few bytes came (transient).
        """
        headers: dict[str, str | list[str] | tuple[str]] | None = None
        if source.version_id is None:
            headers = {"If-Match": f'"{source.etag}"'}
        sha, received = hashlib.sha256(), 0
        with self._reading(source.bucket, source.key, version_id=source.version_id, headers=headers) as response:
            if (etag := response.headers.get("ETag", "").strip('"')) != source.etag:
                raise ObjectChanged(
                    f"{source.bucket}/{source.key} was overwritten: its etag is {etag}, not {source.etag}"
                )
            with target.open("wb") as file:
                for block in response.stream(CHUNK_BYTES):
                    file.write(block)
                    sha.update(block)
                    received += len(block)
                    if on_bytes:
                        on_bytes(len(block))
        if received != source.size_bytes:
            raise StorageUnavailable(f"{source.bucket}/{source.key}: {received} of {source.size_bytes} bytes came")
        return sha.hexdigest()

    def fetch(self, file: StoredFile, target: Path) -> None:
        """Stream a derived object into `target`.

        Raises:
            ObjectMissing: it was deleted (permanent).
            StorageUnavailable: the connection broke, or too few bytes came (transient).
        """
        with self._reading(self.settings.derived_bucket, file.key) as response, target.open("wb") as opened:
            for block in response.stream(CHUNK_BYTES):
                opened.write(block)
        if target.stat().st_size != file.size_bytes:
            raise StorageUnavailable(f"{file.key}: {target.stat().st_size} of {file.size_bytes} bytes came")

    def read(self, bucket: str, key: str) -> bytes:
        """Give a small object's content.

        Raises:
            ObjectMissing: there is none (permanent).
        """
        with self._reading(bucket, key) as response:
            return bytes(response.data)

    def stream(self, bucket: str, key: str, offset: int, length: int) -> Iterator[bytes]:
        """Give `length` bytes from `offset` on, block by block."""
        with self._reading(bucket, key, offset=offset, length=length) as response:
            yield from response.stream(CHUNK_BYTES)

    @contextmanager
    def _reading(
        self,
        bucket: str,
        key: str,
        *,
        offset: int = 0,
        length: int = 0,
        version_id: str | None = None,
        headers: dict[str, str | list[str] | tuple[str]] | None = None,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        with storage_errors(f"Reading {bucket}/{key}"):
            response = self._client.get_object(
                bucket, key, offset=offset, length=length, version_id=version_id, request_headers=headers
            )
            try:
                yield response
            finally:
                response.close()
                response.release_conn()

    def put(self, path: Path, key: str, content_type: str, bucket: str | None = None) -> StoredFile:
        """Store a file in the derived bucket (or the one named), in parts when it is large."""
        bucket = bucket or self.settings.derived_bucket
        with storage_errors(f"Writing {bucket}/{key}"):
            written = self._client.fput_object(
                bucket, key, str(path), content_type=content_type, part_size=PART_BYTES, num_parallel_uploads=2
            )
        return StoredFile(key=key, size_bytes=path.stat().st_size, etag=(written.etag or "").strip('"'))

    def put_bytes(self, content: bytes, key: str, content_type: str, bucket: str | None = None) -> StoredFile:
        """Store a small object in the derived bucket (or the one named)."""
        bucket = bucket or self.settings.derived_bucket
        with storage_errors(f"Writing {bucket}/{key}"):
            written = self._client.put_object(bucket, key, io.BytesIO(content), len(content), content_type=content_type)
        return StoredFile(key=key, size_bytes=len(content), etag=(written.etag or "").strip('"'))

    def holds(self, file: StoredFile) -> bool:
        """Say whether a derived object is there as it was written.

        Raises:
            StorageUnavailable: no answer (transient); an outage is not an absence.
        """
        try:
            found = self.stat(self.settings.derived_bucket, file.key)
        except ObjectMissing:
            return False
        return found.size_bytes == file.size_bytes and found.etag == file.etag

    def list(self, bucket: str, prefix: str = "", start_after: str | None = None) -> Iterator[ObjectStat]:
        """Give every object whose key begins with `prefix`, in key order."""
        with storage_errors(f"Listing {bucket}/{prefix}"):
            for found in self._client.list_objects(bucket, prefix=prefix, recursive=True, start_after=start_after):
                if found.is_dir or found.object_name is None or found.object_name.endswith("/"):
                    continue
                yield ObjectStat(
                    key=found.object_name,
                    size_bytes=found.size or 0,
                    etag=(found.etag or "").strip('"'),
                    last_modified=found.last_modified or dt.datetime.fromtimestamp(0, dt.UTC),
                )

    def delete(self, bucket: str, key: str) -> None:
        """Remove one object; one that is not there is no error."""
        with storage_errors(f"Deleting {bucket}/{key}"):
            self._client.remove_object(bucket, key)

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        """Remove every object whose key begins with `prefix`; give their number.

        Raises:
            ValueError: the prefix is empty: that would be the whole bucket.
        """
        if not prefix:
            raise ValueError("an empty prefix would delete the whole bucket")
        keys = [found.key for found in self.list(bucket, prefix)]
        with storage_errors(f"Deleting {bucket}/{prefix}*"):
            failures = list(self._client.remove_objects(bucket, [DeleteObject(key) for key in keys]))
        if failures:
            raise StorageUnavailable(f"Deleting {bucket}/{prefix}*: {len(failures)} of {len(keys)} objects remain")
        return len(keys)

    def abort_stale_uploads(self, bucket: str, before: dt.datetime) -> int:
        """End multipart uploads that have got nothing since this instant and were never finished; give their number."""
        with storage_errors(f"Ending unfinished uploads in {bucket}"):
            return abort_stale(self._client, bucket, before)

    def presign_put(self, key: str) -> str:
        """Give a URL that a client may PUT one upload to, for the configured time."""
        with storage_errors(f"Signing an upload of {key}"):
            return self._signer.presigned_put_object(self.settings.uploads_bucket, key, self.settings.upload_url_life)


@cache
def object_store(settings: StorageSettings) -> ObjectStore:
    """Give this process's client for these settings; connections are pooled."""
    return ObjectStore(settings)
