"""Options that every command shares."""

from pathlib import Path
from typing import Annotated

import typer

#: Which stack a command talks to.
DataFolder = Annotated[
    Path,
    typer.Option(
        "--data", envvar="DAILIES_DATA", help="Folder of the stack.", show_default=".dailies here", metavar="DIR"
    ),
]
#: Default of DataFolder.
HERE = Path(".dailies")
#: One JSON document on stdout instead of text for people.
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
