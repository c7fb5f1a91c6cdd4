"""The `dailies` command: finds its commands, and turns errors into one sentence and an exit code.

Exit codes: 0 done, 1 failed (or rejected, or not up), 2 wrong usage, 130 ended by Ctrl-C.
"""

import importlib
import itertools
import json
import os
import re
import sys
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from typer.core import TyperGroup

from core.errors import DailiesError
from core.settings import Settings

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
    "adopt": "cli.adopt:adopt",
    "deploy": "cli.deploy:deploy",
    "why": "cli.coverage:why",
    "coverage": "cli.coverage:coverage",
    "backfill": "cli.coverage:backfill",
    "encoders": "cli.encoders:encoders",
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


def _tell_version(wanted: bool) -> None:
    if wanted:
        from core.version import VERSION

        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def dailies(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell which Dailies this is.")
    ] = False,
) -> None:
    """Turn every video that lands in an object store into verified, playable, searchable scenes.

    \b
    Examples:
      dailies demo                 see it work: a film, its scenes, seven searches
      dailies up --detach          start everything: database, store, Prefect, service, worker
      dailies ingest film.mp4 --wait
      dailies search "a cup of coffee"
      dailies failures             what went wrong, grouped
      dailies rerun --failed       resume every failed video at the stage that failed
      dailies why 3f2a91c0         why a video is not searchable, and what to do
      dailies coverage             how many videos each stage was done for by today's settings
      dailies backfill embed       bring the others up to date
      dailies encoders             embedding spaces: which one answers, how full each is
      dailies deploy               queues, deployments and schedules on the Prefect server
      dailies status               how each part is doing, and where
      dailies doctor               what is missing on this machine, and how to mend it
      dailies down                 stop everything
    """


def wrong_setting(error: ValidationError | SettingsError) -> str | None:
    """Give a sentence that names the wrong variables; None when the error is not about settings.

    Values are left out: one of them may be a secret.
    """
    if isinstance(error, SettingsError):
        # pydantic-settings says which field it could not read, and quotes it.
        field = re.search(r'field "(\w+)"', str(error))
        group = f"DAILIES_{field[1].upper()}" if field else "DAILIES_"
        given = [name for name in sorted(os.environ) if name.upper().startswith(group) and not _is_json(name)]
        return f"{' or '.join(given) or group} is not JSON; lists are written [720,360]. See docs/settings.md."
    if error.title != Settings.__name__:
        return None
    wrong = [f"{_variable(each['loc'])}: {each['msg']}" for each in error.errors(include_input=False)]
    return f"{'; '.join(wrong)}. See docs/settings.md."


def _variable(place: tuple[int | str, ...]) -> str:
    """Name the environment variable of a place in the settings."""
    names = itertools.takewhile(lambda name: isinstance(name, str), place)
    return "DAILIES_" + "__".join(str(name).upper() for name in names)


def _is_json(name: str) -> bool:
    try:
        json.loads(os.environ[name])
    except ValueError:
        return False
    return True


def main() -> None:
    """Run the command line; entry point of the `dailies` script."""
    try:
        app()
    except (ValidationError, SettingsError) as error:
        sentence = wrong_setting(error)
        if sentence is None:
            raise
        sys.stderr.write(f"dailies: {sentence}\n")
        sys.exit(2)
    except DailiesError as error:
        sys.stderr.write(f"dailies: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
