"""Scratch: one copy an attempt, nothing left behind, no copy where there is no room."""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from core.errors import InvalidMedia, ScratchFull
from core.settings import Settings
from core.values import Ticket
from storage.client import ObjectStore
from tasks import scratch


@pytest.fixture
def ticket(settings: Settings, store: ObjectStore) -> Ticket:
    store.put_bytes(b"film", "a.mp4", "video/mp4", bucket="uploads")
    return Ticket(video_id=uuid4(), owner_id="local", source=store.source_version("uploads", "a.mp4"), attempt=2)


def test_the_source_is_fetched_once_and_hashed(ticket: Ticket, store: ObjectStore):
    path, sha256 = scratch.source_copy(ticket)
    store.delete("uploads", "a.mp4")
    assert scratch.source_copy(ticket, sha256) == (path, sha256)
    assert path.name == "source", "a user's file name never becomes a path"


def test_an_overwritten_source_is_a_verdict(ticket: Ticket, store: ObjectStore):
    store.put_bytes(b"other", "a.mp4", "video/mp4", bucket="uploads")
    with pytest.raises(InvalidMedia) as caught:
        scratch.source_copy(ticket)
    assert caught.value.reason == "overwritten"


def test_a_deleted_source_is_a_verdict(ticket: Ticket, store: ObjectStore):
    store.delete("uploads", "a.mp4")
    with pytest.raises(InvalidMedia) as caught:
        scratch.source_copy(ticket)
    assert caught.value.reason == "source_missing"


def test_a_source_larger_than_the_disk_is_tried_again_later(ticket: Ticket):
    huge = ticket.source.model_copy(update={"size_bytes": 1 << 60})
    with pytest.raises(ScratchFull, match="DAILIES_SCRATCH"):
        scratch.source_copy(ticket.model_copy(update={"source": huge}))


def test_a_new_attempt_removes_what_older_ones_left(ticket: Ticket):
    older = scratch.folder(ticket.model_copy(update={"attempt": 1}))
    newer = scratch.folder(ticket)
    assert newer.exists()
    assert not older.exists()


def test_processes_that_share_a_disk_have_folders_of_their_own(ticket: Ticket, settings: Settings):
    ours = scratch.folder(ticket)
    # As a Dask worker on the machine of the run's own process: it must neither wait for us nor write into ours.
    theirs = f"""
from pathlib import Path
from core.settings import Settings
from core.values import Ticket
from tasks import scratch
scratch.get_settings = lambda: Settings(scratch=Path({str(settings.scratch_dir)!r}))
print(scratch.folder(Ticket.model_validate_json({ticket.model_dump_json()!r})))
"""
    done = subprocess.run([sys.executable, "-c", theirs], capture_output=True, text=True, timeout=30, check=True)
    left = Path(done.stdout.strip())
    assert left.parent == ours.parent
    assert left.is_dir()
    assert left != ours
    scratch.clear(ticket)
    assert left.is_dir(), "it is not ours"
    scratch.folder(ticket)
    assert not left.exists(), "its process is dead, and somebody comes by"


def test_clearing_leaves_nothing_of_earlier_attempts_either(ticket: Ticket, settings: Settings):
    # On a Dask worker, where nobody told of the end of the first attempt: its run was killed.
    scratch.folder(ticket.model_copy(update={"attempt": 1}))
    scratch.clear(ticket)
    assert not any(Path(settings.scratch_dir).rglob("*"))


def test_clearing_leaves_nothing(ticket: Ticket, settings: Settings):
    scratch.source_copy(ticket)
    scratch.clear(ticket)
    assert not any(Path(settings.scratch_dir).rglob("*"))


def test_what_was_made_here_is_not_fetched(ticket: Ticket, store: ObjectStore):
    with scratch.working(ticket, "chunk-0") as folder:
        path = folder / "360p.mp4"
        path.write_bytes(b"piece")
        file = store.put(path, "piece.mp4", "video/mp4")
        scratch.keep(ticket, path, file)
    assert not folder.exists()
    store.delete(store.settings.derived_bucket, file.key)
    assert scratch.derived_copy(ticket, file).read_bytes() == b"piece"
    with scratch.passing_copy(ticket, file) as passing:
        assert passing.read_bytes() == b"piece"
    assert not passing.exists()
