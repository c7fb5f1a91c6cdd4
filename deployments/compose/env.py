"""`python -m deployments.compose.env`: write the secrets of docker-compose.yml to .env; what is there already stays."""

import os
import secrets
import sys
from pathlib import Path
from typing import Final

#: Variables without which docker-compose.yml refuses to start, and how each is made up.
SECRETS: Final = {
    "POSTGRES_PASSWORD": lambda: secrets.token_hex(16),
    "DAILIES_STORAGE__ACCESS_KEY": lambda: secrets.token_hex(10),
    "DAILIES_STORAGE__SECRET_KEY": lambda: secrets.token_hex(20),
    # One word: the store then sends it after "Bearer".
    "DAILIES_EVENTS__TOKEN": lambda: secrets.token_hex(16),
    # What Prefect's UI asks for: a name, a colon, a password.
    "PREFECT_AUTH": lambda: f"dailies:{secrets.token_hex(16)}",
    "REDIS_PASSWORD": lambda: secrets.token_hex(16),
}


def completed(text: str) -> tuple[str, tuple[str, ...]]:
    """Add the secrets that an .env file lacks; touches nothing.

    Returns:
        The new text, and the names that were added; a name with an empty value counts as missing.
    """
    lines = text.splitlines()
    known = {name.strip() for name, _, value in (line.partition("=") for line in lines) if value.strip()}
    added = tuple(name for name in SECRETS if name not in known)
    kept = [line for line in lines if line.partition("=")[0].strip() not in added]
    return "\n".join([*kept, *(f"{name}={SECRETS[name]()}" for name in added), ""]), added


def write(path: Path) -> tuple[str, ...]:
    """Complete the file so that only its owner can read it; give the names that were added."""
    text, added = completed(path.read_text(encoding="utf-8") if path.exists() else "")
    if added:
        fresh = path.with_name(f"{path.name}.new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)
    return added


def main() -> None:
    """Write `.env` here, or the file that is named."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else ".env")
    added = write(path)
    print(f"{path}: added {', '.join(added)}" if added else f"{path}: complete, nothing changed")  # noqa: T201


if __name__ == "__main__":
    main()
