"""Multipart uploads that were begun and never finished: nothing else lists their parts, and they are paid for.

The SDK keeps these calls private; a test against a real store holds them to what is used here.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Final

from minio import Minio
from minio.error import S3Error

#: Where minio 7.2 keeps `next_upload_id_marker`.
_MISNAMED: Final = "self._next_upload_id_marker"


def abort_stale(client: Minio, bucket: str, before: dt.datetime, page: int = 1_000) -> int:
    """End uploads that were begun before this instant and got no part since; give their number.

    Args:
        page: uploads, and parts, in one answer of the store; S3 gives 1,000 at most.
    """
    # All of them first: to end some while pages are turned would move the others.
    return sum(
        _abort_if_stale(client, bucket, key, upload_id, before, page)
        for key, upload_id, began in list(_uploads(client, bucket, page))
        if began < before
    )


def _abort_if_stale(client: Minio, bucket: str, key: str, upload_id: str, before: dt.datetime, page: int) -> bool:
    try:
        if any(at >= before for at in _parts(client, bucket, key, upload_id, page)):
            return False
        client._abort_multipart_upload(bucket, key, upload_id)  # noqa: SLF001
    except S3Error as error:
        if error.code != "NoSuchUpload":
            raise
        return False  # somebody finished it, or ended it, a moment ago
    return True


def _uploads(client: Minio, bucket: str, page: int) -> Iterator[tuple[str, str, dt.datetime]]:
    after: tuple[str | None, str | None] = (None, None)
    while True:
        found = client._list_multipart_uploads(  # noqa: SLF001
            bucket, key_marker=after[0], upload_id_marker=after[1], max_uploads=page
        )
        for upload in found.uploads:
            if upload.upload_id and upload.initiated_time:
                yield upload.object_name, upload.upload_id, upload.initiated_time
        # The store's own markers: SeaweedFS turns pages by upload id alone. The SDK keeps one of them under a wrong name.
        marks = (found.next_key_marker, found.next_upload_id_marker or vars(found).get(_MISNAMED))
        if not found.is_truncated or marks in (after, (None, None)):
            return
        after = marks


def _parts(client: Minio, bucket: str, key: str, upload_id: str, page: int) -> Iterator[dt.datetime]:
    marker: str | None = None
    while True:
        found = client._list_parts(bucket, key, upload_id, max_parts=page, part_number_marker=marker)  # noqa: SLF001
        yield from (part.last_modified for part in found.parts if part.last_modified)
        if not found.is_truncated or found.next_part_number_marker in (None, marker):
            return
        marker = found.next_part_number_marker
