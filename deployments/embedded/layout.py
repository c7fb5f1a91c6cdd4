"""Where everything of one embedded stack lies: one data folder, nothing outside it."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from core.errors import StackFailed

#: Bytes of a unix socket's path that Linux can bind, its closing zero left out (`man 7 unix`).
MAX_SOCKET_PATH: Final = 107
#: Names that Postgres gives to its socket in the folder it is told.
POSTGRES_SOCKET: Final = ".s.PGSQL.5432"
#: The only role; whoever may enter the socket's folder is trusted, and only its owner may.
POSTGRES_ROLE: Final = "dailies"


@dataclass(frozen=True)
class Layout:
    """The paths inside one data folder; building one touches nothing."""

    data: Path

    @classmethod
    def of(cls, data: Path) -> "Layout":
        """Resolve `data`, so that one folder has one name whoever asks."""
        return cls(data.expanduser().resolve())

    @property
    def state(self) -> Path:
        """What runs here and how to reach it; holds secrets."""
        return self.data / "stack.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.data / "lock"

    @property
    def postgres(self) -> Path:
        """Database cluster, its socket and its configuration."""
        return self.data / "postgres"

    @property
    def store(self) -> Path:
        """Objects, and the store's configuration."""
        return self.data / "store"

    @property
    def prefect(self) -> Path:
        """Prefect's home: profiles and its own small files."""
        return self.data / "prefect"

    @property
    def logs(self) -> Path:
        """One log a part."""
        return self.data / "logs"

    @property
    def scratch(self) -> Path:
        """Media in work."""
        return self.data / "scratch"

    @property
    def temporary(self) -> Path:
        """What the parts would put into /tmp, where stacks of other accounts meet; emptied at every start."""
        return self.data / "tmp"

    def log(self, part: str) -> Path:
        """Log of one part."""
        return self.logs / f"{part}.log"

    def make(self) -> None:
        """Make the folders; the data folder is its owner's alone unless it existed before.

        Raises:
            StackFailed: the place cannot be written to.
        """
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.store, self.prefect, self.logs, self.scratch, self.temporary):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StackFailed(
                f"the data folder {self.data} cannot be used ({error.strerror}). Name another one with --data."
            ) from error


def socket_folder(postgres: Path) -> Path:
    """Choose the folder of Postgres' socket: beside the cluster, or in /tmp when that path will not do.

    The same for every process of one stack, whatever its TMPDIR.
    """
    inside = postgres / "socket"
    # To Postgres' clients a comma separates two hosts, and there is no way to quote it.
    if len(os.fsencode(inside / POSTGRES_SOCKET)) <= MAX_SOCKET_PATH and "," not in str(inside):
        return inside
    name = hashlib.sha256(os.fsencode(postgres)).hexdigest()[:16]
    return Path("/tmp") / f"dailies-{name}"  # noqa: S108 - its owner is checked before use


def postgres_url(postgres: Path, database: str, driver: str = "postgresql+psycopg") -> str:
    """Give the SQLAlchemy URL of one database of the cluster in `postgres`."""
    return f"{driver}://{POSTGRES_ROLE}@/{database}?host={quote(str(socket_folder(postgres)), safe='/')}"
