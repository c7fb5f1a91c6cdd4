"""What dead attempts left: files that no result record and no row names, and open entries of the ledger."""

import datetime as dt
import logging
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from core.errors import StorageRefused
from core.settings import Settings
from models import attempts, ledger
from models.reconciling import files_in_rows, mark_swept, to_sweep, with_chunks
from models.session import transaction
from storage import keys
from storage.chunk_media import remove_chunks
from storage.client import ObjectStore, object_store
from storage.records import named_files

logger = logging.getLogger(__name__)

#: A video that was swept is looked at again after this: a frozen process may have woken since and written.
AGAIN_AFTER: Final = dt.timedelta(days=1)
#: Videos looked at in one call; the next one goes on where it stopped.
BATCH: Final = 50


class Swept(BaseModel):
    """What one sweep did."""

    model_config = ConfigDict(frozen=True)

    #: Files that were deleted.
    files: int = 0
    #: Videos that were left alone, because a result record cannot be read and nobody knows what it names.
    unreadable: int = 0


def sweep_leftovers(settings: Settings) -> Swept:
    """Delete what attempts before the newest one left behind.

    Raises:
        StorageUnavailable, DatabaseUnavailable: transient; the next call continues.
    """
    began = dt.datetime.now(dt.UTC)
    with transaction(settings.database) as session:
        videos = to_sweep(session, before=began - AGAIN_AFTER, limit=BATCH)
        in_pieces = with_chunks(session, limit=BATCH)
    swept = sum(_remove_chunks(settings, video_id, attempt) for video_id, attempt in in_pieces)
    unreadable = 0
    for video_id, attempt in videos:
        with transaction(settings.database) as session:
            # An overtaken process may have opened one after its successor closed the others. One video a transaction,
            # because each takes counters that others wait for.
            ledger.close_abandoned(session, video_id, before_attempt=attempt)
        try:
            swept += _sweep(settings, video_id, attempt)
        except (StorageRefused, ValueError) as error:
            logger.warning("leftovers: video %s: %s: %s", video_id, type(error).__name__, error)
            unreadable += 1
        with transaction(settings.database) as session:
            mark_swept(session, video_id, began)
    return Swept(files=swept, unreadable=unreadable)


def _remove_chunks(settings: Settings, video_id: UUID, attempt: int) -> int:
    removed = remove_chunks(object_store(settings.storage), video_id, up_to_attempt=attempt)
    with transaction(settings.database) as session:
        attempts.forget_chunks(session, video_id, attempt)
    return removed


def _sweep(settings: Settings, video_id: UUID, newest: int) -> int:
    store = object_store(settings.storage)
    found = [item.key for item in store.list(settings.storage.derived_bucket, keys.video_prefix(video_id))]
    left = [key for key in found if (attempt := keys.attempt_of(key)) is not None and attempt < newest]
    if not left:
        return 0
    # Records are read after the list: one that was written since names files that are not in it.
    kept = {name for key in found if keys.is_manifest(key) for name in _named(store, key)}
    with transaction(settings.database) as session:
        # Rows may name files of an older record: a stage that was done again replaced it and is not published yet.
        kept |= files_in_rows(session, video_id)
    orphans = [key for key in left if key not in kept]
    for key in orphans:
        store.delete(settings.storage.derived_bucket, key)
    return len(orphans)


def _named(store: ObjectStore, key: str) -> set[str]:
    return {file.key for file in named_files(store.read(store.settings.derived_bucket, key))}
