"""Objects nobody announced: the difference between the bucket and the inbox."""

import datetime as dt
import itertools
import logging
from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel, ConfigDict

from core.errors import ObjectMissing, StorageRefused
from core.settings import Settings
from models.inbox import record_source, recorded
from models.reconciling import installation, unknown_keys, waiting_in
from models.session import transaction
from models.states import Queue
from storage import keys
from storage.client import ObjectStat, object_store

logger = logging.getLogger(__name__)

#: Objects compared with the inbox in one query.
PAGE: Final = 1_000
#: Older objects that may wait in the backfill queue at a time; the next sweep adds what ran off.
MAX_WAITING_BACKFILL: Final = 200


class Found(BaseModel):
    """What one comparison found."""

    model_config = ConfigDict(frozen=True)

    #: Newer than the installation, and now in the inbox.
    recovered: int = 0
    #: Older than the installation, and now in the inbox, for the backfill queue.
    adopted: int = 0
    #: Older than the installation and left alone, until a person adopts them.
    older: int = 0
    #: Objects that the store does not let us look at; each is tried again by the next comparison.
    unreadable: int = 0


def find_lost(settings: Settings) -> Found:
    """Put every object of the uploads bucket that the inbox does not know into it.

    Objects that were there before Dailies was are only counted until a person adopts them, and then come in slowly:
    a first start on a bucket of 100,000 old videos must not flood.

    Raises:
        StorageUnavailable, DatabaseUnavailable: transient; the next call continues.
    """
    with transaction(settings.database) as session:
        installed = installation(session)
        room = MAX_WAITING_BACKFILL - waiting_in(session, Queue.BACKFILL) if installed.adopted_at else 0
    recovered = adopted = older = unreadable = 0
    for found in _unknown(settings):
        try:
            if found.last_modified >= installed.installed_at.replace(microsecond=0):
                recovered += _record(settings, found.key, Queue.UPLOADS)
            elif adopted < room:
                adopted += _record(settings, found.key, Queue.BACKFILL)
            else:
                older += 1
        except StorageRefused as error:
            logger.warning("find lost: %s", error)
            unreadable += 1
    return Found(recovered=recovered, adopted=adopted, older=older, unreadable=unreadable)


def adopt_older(settings: Settings, *, dry_run: bool) -> int:
    """Let objects that were in the bucket before Dailies was come in, slowly; give how many are waiting outside.

    Raises:
        StorageUnavailable, DatabaseUnavailable: transient; asking again is safe.
    """
    with transaction(settings.database) as session:
        installed = installation(session)
        began = installed.installed_at.replace(microsecond=0)
        if not dry_run:
            installed.adopted_at = installed.adopted_at or dt.datetime.now(dt.UTC)
    return sum(found.last_modified < began for found in _unknown(settings))


def _unknown(settings: Settings) -> Iterator[ObjectStat]:
    bucket = settings.storage.uploads_bucket
    for page in _pages(object_store(settings.storage).list(bucket)):
        with transaction(settings.database) as session:
            unknown = set(
                unknown_keys(session, bucket, [(found.key, found.etag, found.last_modified) for found in page])
            )
        yield from (found for found in page if found.key in unknown and keys.names_an_upload(found.key))


def _record(settings: Settings, key: str, queue: Queue) -> int:
    try:
        source = object_store(settings.storage).source_version(settings.storage.uploads_bucket, key)
    except ObjectMissing:
        return 0
    with transaction(settings.database) as session:
        # A store may list an object's etag or time otherwise than it tells them of the object itself.
        is_new = recorded(session, source) is None
        record_source(session, source, owner_id=settings.owner_id, announced=keys.announced_video(key), queue=queue)
    return int(is_new)


def _pages(objects: Iterator[ObjectStat]) -> Iterator[list[ObjectStat]]:
    while page := list(itertools.islice(objects, PAGE)):
        yield page
