"""Writes small files that must be whole, and whose secrets only their owner reads."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace a file's content in one step, mode 0600; a power cut leaves the old content or the new."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
