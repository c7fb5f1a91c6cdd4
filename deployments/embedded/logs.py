"""Logs of the parts: bounded in size, and their last lines when something went wrong."""

import os
from pathlib import Path
from typing import Final

#: A log larger than this is moved aside; one older copy is kept.
MAX_BYTES: Final = 10 * 1024 * 1024


def rotate(log: Path) -> None:
    """Move a log that has grown too large to `.1`, even while a part writes to it.

    The parts append, so copying and cutting to zero loses at most the lines of that instant.
    """
    if not log.exists() or log.stat().st_size <= MAX_BYTES:
        return
    older = log.with_name(f"{log.name}.1")
    with log.open("rb") as source, older.open("wb") as target:
        source.seek(-MAX_BYTES, os.SEEK_END)
        target.write(source.read())
    os.truncate(log, 0)


def tail(log: Path, lines: int = 20, since: int = 0) -> str:
    """Give the last lines written after byte `since`; empty when there is no log."""
    if not log.exists():
        return ""
    with log.open("rb") as source:
        size = source.seek(0, os.SEEK_END)
        source.seek(max(since if since <= size else 0, size - 64 * 1024))
        text = source.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])
