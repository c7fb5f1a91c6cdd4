"""`dailies search`: scenes by what they show."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.client import Document, service_of
from cli.options import HERE, AsJson, DataFolder
from cli.output import clock, print_json, usage_error


def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What the scene shows, in a few words.")],
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most this many scenes, best first.")] = 10,
    as_json: AsJson = False,
    data: DataFolder = HERE,
) -> None:
    """Find scenes by what they show. The first search after a start takes seconds: it loads the network.

    \b
    Examples:
      dailies search "a cup of coffee"
      dailies search "an astronaut" --limit 3 --json
    """
    if not text.strip():
        usage_error("TEXT is empty: say in a few words what the scene shows.")
    with service_of(data) as service:
        hits = service.search(text, limit)
    if as_json:
        print_json(hits)
    elif not hits:
        Console().print("no scenes; upload a video: dailies ingest FILE --wait")
    else:
        Console().print(hits_table(hits))


def hits_table(hits: list[Document]) -> Table:
    """Draw scenes that answer a search, best first."""
    table = Table(box=None, header_style="dim")
    for heading in ("rank", "score", "start", "end"):
        table.add_column(heading, justify="right")
    table.add_column("video")
    table.add_column("title")
    for rank, hit in enumerate(hits, 1):
        times = clock(hit["start_s"]), clock(hit["end_s"])
        table.add_row(str(rank), f"{hit['score']:.3f}", *times, hit["video_id"][:8], escape(hit["title"]))
    return table
