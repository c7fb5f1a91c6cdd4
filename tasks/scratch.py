"""Scratch: local copies of objects for the length of one attempt."""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from core import faults
from core.errors import InvalidMedia, ObjectChanged, ObjectMissing, ScratchFull
from core.settings import get_settings
from core.values import StoredFile, Ticket
from storage.client import object_store

#: Free space kept beyond what a copy needs.
RESERVE_BYTES: Final = 256 << 20

#: Tells the folders of this process from those of others that share the disk.
_PROCESS: Final = secrets.token_hex(4)

_holding: Final = threading.Lock()
#: Open handles of this process's own folders.
_held: Final[dict[Path, int]] = {}
#: One for each copy that is made; taken under `_holding`, because threads ask for the same copy at the same moment.
_locks: Final[dict[Path, threading.Lock]] = {}


def folder(ticket: Ticket) -> Path:
    """Give this process's folder for an attempt, made when it is missing.

    The first time, what older attempts and dead processes left is removed: a run's tasks may be executed anywhere.
    """
    root = get_settings().scratch_dir / str(ticket.video_id)
    own = root / f"{ticket.attempt}-{_PROCESS}"
    if own not in _held:
        sweep()
    _hold(own)
    for other in root.iterdir():
        attempt = _attempt_of(other)
        if attempt is not None and attempt < ticket.attempt:
            shutil.rmtree(other, ignore_errors=True)
    return own


def _attempt_of(path: Path) -> int | None:
    number, _, _ = path.name.partition("-")
    return int(number) if number.isdigit() else None


def _hold(own: Path) -> None:
    """Make a folder and lock it for as long as this process lives: that tells it from what a dead one left."""
    with _holding:
        while own not in _held or not own.is_dir():
            own.mkdir(parents=True, exist_ok=True)
            held = os.open(own, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(held, fcntl.LOCK_EX)
            if own.is_dir() and own.stat().st_ino == os.fstat(held).st_ino:
                if own in _held:
                    os.close(_held[own])
                _held[own] = held
            else:
                os.close(held)  # swept between the two lines above


def sweep() -> int:
    """Remove the folders of processes that died; give their number. Those of other machines are theirs to sweep."""
    swept = 0
    root = get_settings().scratch_dir
    for left in root.glob("*/*"):
        if _attempt_of(left) is None or left in _held:
            continue
        try:
            handle = os.open(left, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue  # gone
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # its process lives
        else:
            shutil.rmtree(left, ignore_errors=True)
            with contextlib.suppress(OSError):  # another attempt is at work there
                left.parent.rmdir()
            swept += 1
        finally:
            os.close(handle)
    return swept


def work_folder(ticket: Ticket, name: str) -> Path:
    """Give an empty folder for a stage to write into."""
    made = folder(ticket) / name
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    return made


@contextlib.contextmanager
def working(ticket: Ticket, name: str) -> Iterator[Path]:
    """Give an empty folder for as long as something is made in it."""
    made = work_folder(ticket, name)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def clear(ticket: Ticket) -> None:
    """Remove everything that this process put into scratch for this attempt, and for those before it."""
    root = get_settings().scratch_dir / str(ticket.video_id)
    with _holding:
        ours = [own for own in _held if own.parent == root and (_attempt_of(own) or 0) <= ticket.attempt]
    for own in ours:
        shutil.rmtree(own, ignore_errors=True)
        with _holding:
            if own in _held:
                os.close(_held.pop(own))
            for target in [target for target in _locks if target.is_relative_to(own)]:
                del _locks[target]
    with contextlib.suppress(OSError):  # another attempt is at work there
        root.rmdir()


def source_copy(ticket: Ticket, sha256: str | None = None) -> tuple[Path, str]:
    """Give a local copy of the source, whose base name is fixed, and its sha256.

    Args:
        sha256: the content validation saw, when it is known: a copy that is here already need not be read again.

    Raises:
        InvalidMedia: the object was overwritten or deleted since it was announced (verdict).
        ScratchFull, StorageUnavailable: transient.
    """
    target = folder(ticket) / "source"
    seen = folder(ticket) / "source.sha256"

    def fetch(part: Path) -> None:
        faults.reached(faults.SCRATCH, faults.Moment.BEFORE, ticket.video_id)
        try:
            seen.write_text(object_store(get_settings().storage).fetch_source(ticket.source, part))
        except ObjectChanged as error:
            raise InvalidMedia("overwritten") from error
        except ObjectMissing as error:
            raise InvalidMedia("source_missing") from error

    _once(target, ticket.source.size_bytes, fetch)
    content = seen.read_text()
    if sha256 is not None and content != sha256:
        raise InvalidMedia("overwritten")
    return target, content


def derived_copy(ticket: Ticket, file: StoredFile) -> Path:
    """Give a local copy of a derived object.

    Raises:
        ScratchFull, StorageUnavailable: transient.
        ObjectMissing: it was deleted (permanent; a rerun makes it again).
    """
    target = _place(ticket, file)
    _once(target, file.size_bytes, lambda part: object_store(get_settings().storage).fetch(file, part))
    return target


@contextlib.contextmanager
def passing_copy(ticket: Ticket, file: StoredFile) -> Iterator[Path]:
    """Give a local copy of a derived object that is needed only once; raises what `derived_copy` raises."""
    path = derived_copy(ticket, file)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def keep(ticket: Ticket, path: Path, file: StoredFile) -> None:
    """Move what was stored just now to where `derived_copy` looks first: nobody here needs to fetch it."""
    path.rename(_place(ticket, file))


def _place(ticket: Ticket, file: StoredFile) -> Path:
    return folder(ticket) / f"{file.etag.strip('-')}{Path(file.key).suffix}"


def require_space(path: Path, needed_bytes: int) -> None:
    """Check that a file of this size fits.

    Raises:
        ScratchFull: it does not (transient).
    """
    free = shutil.disk_usage(path).free
    if free < needed_bytes + RESERVE_BYTES:
        raise ScratchFull(
            f"Scratch has {free >> 20} MiB free and needs {(needed_bytes + RESERVE_BYTES) >> 20} MiB: "
            "free some space or set DAILIES_SCRATCH to a larger disk."
        )


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """Turn "no space left" into an error that is tried again.

    Raises:
        ScratchFull: transient.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ScratchFull(
            f"No space is left on the disk of {get_settings().scratch_dir}: free some, or set DAILIES_SCRATCH."
        ) from error


def _once(target: Path, size_bytes: int, fetch: Callable[[Path], None]) -> None:
    with _holding:
        lock = _locks.setdefault(target, threading.Lock())
    with lock:
        if target.exists():
            return
        require_space(target.parent, size_bytes)
        part = target.with_name(f"{target.name}.part")
        try:
            fetch(part)
            part.rename(target)
        finally:
            part.unlink(missing_ok=True)
