"""Pieces of chunks are needed until their video is published; this removes them with their results."""

from collections import defaultdict
from uuid import UUID

from core.stages import Part
from storage import keys
from storage.client import ObjectStore


def remove_chunks(store: ObjectStore, video_id: UUID, *, up_to_attempt: int) -> int:
    """Delete every chunk's result and pieces that no attempt newer than this one has a hand in; give their number.

    Raises:
        StorageUnavailable: transient; what remains is found by the next call.
    """
    bucket = store.settings.derived_bucket
    chunks: dict[str, list[str]] = defaultdict(list)
    for item in store.list(bucket, keys.results_prefix(video_id, Part.CHUNK)):
        chunks[item.key.split("/")[2]].append(item.key)
    removed = 0
    for found in chunks.values():
        if any((keys.attempt_of(key) or 0) > up_to_attempt for key in found):
            continue
        # The result first: without it the pieces are leftovers; pieces that are gone would be looked for.
        for key in sorted(found, key=lambda key: not keys.is_manifest(key)):
            store.delete(bucket, key)
            removed += 1
    return removed
