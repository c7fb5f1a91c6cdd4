"""`dailies deploy`: everything that prefect.yaml describes, on a Prefect server."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.options import HERE, AsJson, DataFolder
from cli.output import print_json

_STYLES = {"made": "green", "changed": "yellow", "unchanged": "dim"}


def deploy(
    as_json: AsJson = False,
    data: DataFolder = HERE,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Tell only what was made or changed.")] = False,
) -> None:
    """Make work pool, queues, deployments and automations on the Prefect server; what is right already stays.

    The server is that of PREFECT_API_URL; without it, that of the stack here. `dailies up` and the bootstrap of every
    other way to run Dailies do the same, so this is for changed settings, or a server that somebody emptied.

    \b
    Examples:
      dailies deploy
      DAILIES_WORKFLOW__BACKFILLS_AT_ONCE=2 dailies deploy
      PREFECT_API_URL=http://prefect:4200/api dailies deploy --json
    """
    address = _reach(data)
    from core.settings import get_settings
    from deployments.workflow import Outcome, bootstrap_workflow

    get_settings.cache_clear()  # the stack's address has just been laid over the environment
    ensured = bootstrap_workflow(get_settings())
    if quiet:
        ensured = [one for one in ensured if one.outcome is not Outcome.UNCHANGED]
    if as_json:
        print_json([one.model_dump() for one in ensured])
        return
    table = Table("what", "name", "outcome", "detail", box=None, title=address, title_justify="left")
    for one in ensured:
        table.add_row(one.kind, one.name, f"[{_STYLES[one.outcome]}]{one.outcome}[/]", one.detail)
    Console().print(table)


def _reach(data: Path) -> str:
    """Let this process talk to the right Prefect server; give its address.

    Raises:
        NotFound: there is neither an address nor a stack (permanent).
    """
    from deployments.embedded import stack

    if "PREFECT_API_URL" not in os.environ:
        os.environ.update(stack.environment(data))
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    return os.environ["PREFECT_API_URL"]
