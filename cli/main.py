"""The `dailies` command: finds its commands, and turns errors into one sentence and an exit code.

Exit codes: 0 done, 1 failed (or rejected, or not up), 2 wrong usage, 130 ended by Ctrl-C.
"""

import importlib
import sys
from typing import Any, Final

import typer
from typer.core import TyperGroup

from core.errors import DailiesError

#: Command name → module and function. A module is imported when its command is used or listed in --help,
#: so each one imports what is slow (Prefect, torch, SQLAlchemy) inside its functions.
COMMANDS: Final = {
    "up": "cli.stack:up",
    "ingest": "cli.ingest:ingest",
    "show": "cli.videos:show",
    "videos": "cli.videos:videos",
    "search": "cli.search:search",
    "rerun": "cli.reruns:rerun",
    "failures": "cli.reruns:failures",
    "demo": "cli.demo:demo",
    "down": "cli.stack:down",
    "status": "cli.stack:status",
    "doctor": "cli.doctor:doctor",
}


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is Click's
        """Name the commands in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the signature is Click's
        """Import one command; None when there is none of that name."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, function = place.split(":")
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name)(getattr(importlib.import_module(module), function))
        return typer.main.get_command(single)


app = typer.Typer(
    cls=LazyGroup,
    name="dailies",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def dailies() -> None:
    """Turn every video that lands in an object store into verified, playable, searchable scenes.

    \b
    Examples:
      dailies demo                 see it work: a film, its scenes, seven searches
      dailies up --detach          start everything: database, store, Prefect, service, worker
      dailies ingest film.mp4 --wait
      dailies search "a cup of coffee"
      dailies failures             what went wrong, grouped
      dailies rerun --failed       resume every failed video at the stage that failed
      dailies status               how each part is doing, and where
      dailies doctor               what is missing on this machine, and how to mend it
      dailies down                 stop everything
    """


def main() -> None:
    """Run the command line; entry point of the `dailies` script."""
    try:
        app()
    except DailiesError as error:
        sys.stderr.write(f"dailies: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
