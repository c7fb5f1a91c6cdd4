"""Where Prefect keeps task results: our derived bucket, beside the files they name.

Prefect asks whether a result exists by reading it. This block answers no when a file that the result names
is gone or changed, so a stage whose output was deleted is done again instead of being reported as Cached.

Prefect takes any exception of a read for "no result" and only logs that of a write, so an outage is waited out here:
finished work would be done again in silence.
"""

from typing import ClassVar, Final

from prefect.filesystems import WritableFileSystem

from core import faults
from core.agreed import RESULT_BLOCK
from core.errors import ObjectMissing
from core.settings import get_settings
from storage import keys
from storage.client import ObjectStore, object_store
from storage.records import named_files
from tasks.patience import patiently

#: The block's own name; `PREFECT_DEFAULT_RESULT_STORAGE_BLOCK` must say RESULT_BLOCK in every process that runs flows.
BLOCK_NAME: Final = RESULT_BLOCK.partition("/")[2]


class DailiesManifests(WritableFileSystem):
    """Results of Dailies stages in its derived bucket; holds no secret and no address itself."""

    _block_type_name: ClassVar[str] = "Dailies manifests"
    _block_type_slug: ClassVar[str] = "dailies-manifests"
    _description: ClassVar[str] = "Stage results in the derived bucket, valid only while the files they name exist."

    async def aread_path(self, path: str) -> bytes:
        """Give a result record whose files are all there."""
        return self.read_path(path)

    def read_path(self, path: str, *, _sync: bool = True) -> bytes:  # type: ignore[override]
        """Give a result record whose files are all there.

        Raises:
            ObjectMissing: no such record, or a file it names is gone or changed (Prefect then runs the task).
        """
        store = object_store(get_settings().storage)
        content = patiently(lambda: store.read(store.settings.derived_bucket, path))
        for file in named_files(content):
            if not patiently(lambda file=file: store.holds(file)):  # type: ignore[misc]
                raise ObjectMissing(f"{path} names {file.key}, which is not there as it was written")
        return content

    async def awrite_path(self, path: str, content: bytes) -> None:
        """Store a result record."""
        self.write_path(path, content)

    def write_path(self, path: str, content: bytes, *, _sync: bool = True) -> None:  # type: ignore[override]
        """Store a result record; Prefect's copies of exceptions, under names of chance, are let go: nobody reads them."""
        if not keys.is_manifest(path):
            return
        store = object_store(get_settings().storage)

        def put() -> None:
            store.put_bytes(content, path, "application/json")
            video_id, stage, *_ = path.split("/")
            faults.reached(stage, faults.Moment.AFTER, video_id)

        patiently(put)


def stored_result(store: ObjectStore, key: str) -> bytes | None:
    """Give a result record when it is there with all its files; None otherwise."""
    try:
        content = store.read(store.settings.derived_bucket, key)
    except ObjectMissing:
        return None
    return content if all(store.holds(file) for file in named_files(content)) else None
