"""Commands that start, stop and watch the embedded stack."""

import datetime as dt
from typing import Annotated

import typer

from cli.options import HERE, AsJson, DataFolder
from core.settings import Settings
from core.version import VERSION
from deployments.embedded.status import StackStatus


def up(
    data: DataFolder = HERE,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once everything is ready.")] = False,
) -> None:
    """Start the whole stack: Postgres, object store, Prefect, service and worker.

    A second `up` on the same folder goes on where the first one ended.

    \b
    Examples:
      dailies up                   stay attached; Ctrl-C stops everything
      dailies up --detach          come back when everything is ready
      dailies up --data /srv/two   a second stack beside the first
    """
    from deployments.embedded import stack
    from media.rung_encoders import require_encoder

    require_encoder(Settings().media)  # what is wrong or missing is told before anything is started
    if not detach:
        typer.echo("starting; Ctrl-C stops everything")
    if stack.start(data, detach=detach, say=typer.echo) and not detach:
        typer.echo("everything is stopped")


def down(data: DataFolder = HERE) -> None:
    """Stop the stack, and end whatever a killed one left running.

    \b
    Examples:
      dailies down
      dailies down --data /srv/two
    """
    from deployments.embedded import stack

    typer.echo("stopped" if stack.stop(data) else "nothing was running")


def status(data: DataFolder = HERE, as_json: AsJson = False) -> None:
    """Show how each part is doing. Exits with 0 when all of it is up, with 1 otherwise.

    \b
    Examples:
      dailies status
      dailies status --json
    """
    from deployments.embedded import stack

    found = stack.status(data)
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        for line in _lines(found):
            typer.echo(line)
    raise typer.Exit(0 if found.is_up else 1)


def _lines(found: StackStatus) -> list[str]:
    lines = [
        f"{found.data}: {found.phase}"
        + (f" ({found.failure.splitlines()[0]})" if found.failure else "")
        + (f", Dailies {found.version}" if found.version else "")
    ]
    if found.version and found.version != VERSION:
        lines.append(f"this command is of Dailies {VERSION}: `dailies down`, then `dailies up`, to run that")
    if not found.parts:
        return [*lines, "start it with: dailies up"]
    lines.append(f"{'PART':<11}{'STATE':<12}{'PID':>8}  {'RESTARTS':>8}  {'FOR':>9}  {'LAST EXIT':<15} URL")
    now = dt.datetime.now(dt.UTC)
    for part in found.parts:
        age = dt.timedelta(seconds=int((now - part.since).total_seconds()))
        lines.append(
            f"{part.name:<11}{part.state:<12}{part.pid or '-':>8}  {part.restarts:>8}  {age!s:>9}  "
            f"{part.last_exit or '-':<15} {part.url or ''}".rstrip()
        )
    return lines
