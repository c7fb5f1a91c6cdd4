"""One supervisor a data folder: a lock that the kernel drops with the process that holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from core.errors import StackFailed


class AlreadyLocked(StackFailed):
    """Another process supervises this data folder."""


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock; the file names its holder and stays behind, which means nothing.

    Raises:
        AlreadyLocked: another process holds it.
    """
    with _opened(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyLocked from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def holder(path: Path) -> int | None:
    """Give the process id of who holds the lock; None when nobody does.

    Raises:
        StackFailed: the folder belongs to another account.
    """
    try:
        file = _opened(path, "r")
    except (FileNotFoundError, NotADirectoryError):
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = file.read()
            return int(text) if text.isdecimal() else -1  # -1: taken this instant, name not written yet
        return None


def _opened(path: Path, mode: str) -> IO[str]:
    try:
        return cast("IO[str]", path.open(mode))
    except PermissionError as error:
        raise StackFailed(
            f"{path.parent} belongs to another account. Use that account, or another folder with --data."
        ) from error
