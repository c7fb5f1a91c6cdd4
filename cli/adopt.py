"""`dailies adopt`: videos that were in the bucket before Dailies was."""

from typing import Annotated

import typer
from rich.console import Console

from cli.client import service_of
from cli.options import HERE, AsJson, DataFolder
from cli.output import print_json


def adopt(
    go: Annotated[bool, typer.Option("--go", help="Let them come in; without it they are only counted.")] = False,
    as_json: AsJson = False,
    data: DataFolder = HERE,
) -> None:
    """Ingest the objects that were in the uploads bucket before Dailies was, slowly, on the backfill queue.

    \b
    Examples:
      dailies adopt           how many there are
      dailies adopt --go      let them come in, at most 200 waiting at a time
    """
    with service_of(data) as service:
        answer = service.adopt(dry_run=not go)
    if as_json:
        print_json(answer)
        return
    found = answer["older_objects"]
    Console().print(
        f"{found} older objects come in from now on, a few at a time"
        if go
        else f"{found} older objects; add --go to ingest them"
    )
