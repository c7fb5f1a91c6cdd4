"""Who Postgres runs as: it refuses to run as root, so root lends it an account that can do nothing else."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import MissingDependency

#: Accounts that may stand in for root, best first; no account is ever made.
STAND_INS: Final = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """A user that a part runs as."""

    name: str
    uid: int
    gid: int


def account_for_postgres() -> Account | None:
    """Choose the account: None (the caller itself) unless the caller is root.

    Raises:
        MissingDependency: root has no unprivileged account to lend.
    """
    if os.geteuid() != 0:
        return None
    for name in STAND_INS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise MissingDependency(
        f"Postgres does not run as root, and this machine has none of the accounts {', '.join(STAND_INS)}. "
        "Run dailies as a plain user."
    )


def closed_folders(folder: Path) -> tuple[Path, ...]:
    """List the parents of `folder`, topmost first, that a stranger may not pass through."""
    parents = [p for p in reversed(folder.parents) if p.exists()]
    return tuple(p for p in parents if not p.stat().st_mode & stat.S_IXOTH)


def open_passage(folder: Path) -> tuple[Path, ...]:
    """Let other accounts pass through (not list, not read) the parents of `folder`; give those that changed."""
    closed = closed_folders(folder)
    for parent in closed:
        parent.chmod(stat.S_IMODE(parent.stat().st_mode) | stat.S_IXOTH)
    return closed


def give(folder: Path, account: Account) -> None:
    """Make `folder`, and everything in it, the account's own; other accounts cannot enter."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (folder, *folder.rglob("*")):
        if path.lstat().st_uid != account.uid:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
    folder.chmod(0o700)
