"""What a folder with a checkpoint is called: by its content, so that replaced weights are another embedding space."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from core.errors import MissingDependency

#: Begins a revision that was read from a folder's files.
FOLDER_REVISION: Final = "sha256:"
#: Files that shape vectors: configs, weights, and the tokenizers that are no JSON.
_SUFFIXES: Final = {".json", ".safetensors", ".model"}
_VOCABULARIES: Final = {"merges.txt", "vocab.txt"}
#: Bytes looked at in each of three places of each tensor: training moves nearly all of a tensor's numbers, but not
#: every tensor, and some are small.
_SAMPLE_BYTES: Final = 4096
#: A file of this format begins with the length of its header, as eight bytes; the format's own limit for it.
_LENGTH_BYTES, _LONGEST_HEADER = 8, 100_000_000

#: Name, size and the times of each file: where it is the same, so is the content.
Stamp = tuple[tuple[str, int, int, int, int], ...]


def stamp_of(folder: Path) -> Stamp:
    """Say what changes whenever a file of the folder is written, added, replaced or taken away."""
    stamps = []
    for path in _files(folder):
        facts = path.stat()
        stamps.append((path.name, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino))
    return tuple(stamps)


def folder_revision(folder: Path) -> str:
    """Name a folder by its content: config files whole, weights by their headers and samples of every tensor.

    Raises:
        MissingDependency: it holds no weights, or something else under their name (permanent).
    """
    seen = hashlib.sha256()
    weights = [path for path in _files(folder) if path.suffix == ".safetensors"]
    if not weights:
        raise MissingDependency(f"{folder} holds no .safetensors file; other formats can run code and are not read")
    for path in _files(folder):
        seen.update(f"{path.name}:{path.stat().st_size}:".encode())
        for piece in _samples(path) if path in weights else [path.read_bytes()]:
            seen.update(piece)
    return f"{FOLDER_REVISION}{seen.hexdigest()[:32]}"


def _files(folder: Path) -> list[Path]:
    named = (path for path in folder.iterdir() if path.suffix in _SUFFIXES or path.name in _VOCABULARIES)
    return sorted(path for path in named if path.is_file())


def _samples(path: Path) -> Iterator[bytes]:
    """Give the header of a weights file, then the start, middle and end of each tensor in it."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        header = file.read(min(length, _LONGEST_HEADER))
        yield header
        for start, end in _tensors(path, header):
            last = max(start, end - _SAMPLE_BYTES)
            for place in sorted({start, (start + last) // 2, last}):
                file.seek(_LENGTH_BYTES + length + place)
                yield file.read(min(_SAMPLE_BYTES, end - place))


def _tensors(path: Path, header: bytes) -> list[tuple[int, int]]:
    """List where each tensor begins and ends after the header."""
    try:
        facts = {name: each for name, each in json.loads(header).items() if name != "__metadata__"}
        return sorted((int(start), int(end)) for start, end in (each["data_offsets"] for each in facts.values()))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MissingDependency(f"{path} is no .safetensors file: its header cannot be read") from error
