"""What commands print: one JSON document for scripts, short words for people."""

import json
import sys
from collections.abc import Sized
from typing import Any, Final, NoReturn

import typer

STYLES: Final = {
    "indexed": "bold green",
    "done": "green",
    "reused": "cyan",
    "running": "yellow",
    "failed": "bold red",
    "rejected": "bold magenta",
}


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def usage_error(sentence: str) -> NoReturn:
    """Say what is wrong with the command line and exit with 2."""
    sys.stderr.write(f"dailies: {sentence}\n")
    raise typer.Exit(2)


def clock(seconds: float | None) -> str:
    """Write seconds as people read them: `4.5 s`, or `1:02:03.4` from a minute on."""
    if seconds is None:
        return "-"
    if abs(seconds) < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{seconds:.2f} s"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def size(size_bytes: int) -> str:
    """Write a size in bytes as people read it."""
    number = float(size_bytes)
    for unit in ("B", "KB", "MB", "GB"):
        if number < 1000 or unit == "GB":  # noqa: PLR2004 - decimal units
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"


def count(things: Sized, noun: str) -> str:
    """Write how many there are: `1 scene`, `2 scenes`."""
    return f"{len(things)} {noun}" + ("" if len(things) == 1 else "s")


def coloured(state: str) -> str:
    """Write a state in its colour."""
    style = STYLES.get(state)
    return f"[{style}]{state}[/{style}]" if style else state
