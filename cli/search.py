"""`dailies search`: scenes by what they show, or by words of titles and descriptions."""

import datetime as dt
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.client import Document, Service, service_of
from cli.options import HERE, AsJson, DataFolder
from cli.output import clock, print_json, usage_error

WAITING: Final = "searching (the first search after a start loads the network: some seconds)"
NO_GOOD_MATCH: Final = "no good match; the nearest scenes:"
_DATES: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
#: Words that matched which are listed in a table.
_MOST_WORDS: Final = 3


def search(
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="What the scene shows, in a few words.")] = None,
    image: Annotated[
        Path | None, typer.Option("--image", metavar="FILE", help="Search by a picture: JPEG, PNG or WebP.")
    ] = None,
    like: Annotated[
        str | None, typer.Option("--like", metavar="SCENE", help="Search by another scene: its whole id.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most this many scenes, best first.")] = 10,
    video: Annotated[list[str] | None, typer.Option(metavar="VIDEO", help="Only in this video; repeatable.")] = None,
    after: Annotated[
        dt.datetime | None, typer.Option(formats=_DATES, help="Only videos uploaded from this moment on (UTC).")
    ] = None,
    before: Annotated[
        dt.datetime | None, typer.Option(formats=_DATES, help="Only videos uploaded before this moment (UTC).")
    ] = None,
    longer: Annotated[float | None, typer.Option(min=0, help="Only videos of at least this many seconds.")] = None,
    shorter: Annotated[float | None, typer.Option(min=0, help="Only videos of fewer seconds.")] = None,
    time_from: Annotated[
        float | None, typer.Option("--from", min=0, help="Only scenes on at this second of their video or later.")
    ] = None,
    time_to: Annotated[
        float | None, typer.Option("--to", min=0, help="Only scenes that begin before this second of their video.")
    ] = None,
    page: Annotated[int, typer.Option(min=1, max=100, help="Which page of so many scenes.")] = 1,
    good: Annotated[bool, typer.Option("--good", help="Leave out what is no good match.")] = False,
    every: Annotated[bool, typer.Option("--every", help="List scenes that look the same one by one.")] = False,
    as_json: AsJson = False,
    data: DataFolder = HERE,
) -> None:
    """Find scenes by what they show, or by words of their video's title and description.

    The first search after a start takes seconds: it loads the network. `why` says what was found: the picture, words
    of the text, or both. Open the address to play the video from that second on.

    \b
    Examples:
      dailies search "a cup of coffee"
      dailies search "an astronaut" --limit 3 --json
      dailies search "an astronaut" --page 2
      dailies search "harbour at night" --after 2026-11-01 --shorter 60 --good
      dailies search --image photo.jpg
      dailies search --like 7b0c1f4e-5d3a-5a52-9f0c-3f1f6b1f2a10
      dailies search "a goal" --json | jq -r '.[] | select(.is_good_match) | .url'
    """
    _check(text, image, like)
    filters: dict[str, Any] = {
        "created_from": after.isoformat() if after else None,
        "created_to": before.isoformat() if before else None,
        "duration_from_s": longer,
        "duration_to_s": shorter,
        "time_from_s": time_from,
        "time_to_s": time_to,
        "good_only": "true" if good else None,
        "collapse": "false" if every else None,
    }
    console = Console(stderr=True)
    with service_of(data) as service, console.status(WAITING) if console.is_terminal else nullcontext():
        filters["video"] = [service.resolve(each) for each in video or ()]
        asked = {name: what for name, what in filters.items() if what not in (None, [])}
        hits = _found(service, text, image, like, limit, page, asked)
    if as_json:
        print_json(hits)
    else:
        print_hits(Console(), hits, before=(page - 1) * limit)
        if len(hits) == limit:
            Console().print(f"[dim]more: --page {page + 1}[/dim]")


def _check(text: str | None, image: Path | None, like: str | None) -> None:
    if sum(each is not None for each in (text, image, like)) != 1:
        usage_error("give TEXT, or --image FILE, or --like SCENE.")
    if text is not None and not text.strip():
        usage_error("TEXT is empty: say in a few words what the scene shows.")
    if image is not None and not image.is_file():
        usage_error(f"--image: there is no file {image}.")


def _found(
    service: Service,
    text: str | None,
    image: Path | None,
    like: str | None,
    limit: int,
    page: int,
    filters: dict[str, Any],
) -> list[Document]:
    if image is not None:
        return service.search_by_image(image, limit, page, **filters)
    if like is not None:
        return service.similar(like, limit, page, **filters)
    return service.search(text or "", limit, page, **filters)


def print_hits(console: Console, hits: Sequence[Document], before: int = 0) -> None:
    """Print what was found for people, so many hits after the first."""
    if not hits and before:
        console.print("no more scenes")
        return
    if not hits:
        console.print("no scenes found; if there are none yet: dailies ingest FILE --wait")
        return
    if all(hit.get("is_good_match") is False for hit in hits):
        console.print(f"[yellow]{NO_GOOD_MATCH}[/yellow]")
    console.print(hits_table(hits, before))
    for rank, hit in enumerate(hits, before + 1):
        if hit.get("url"):
            # never broken over lines: people click or copy it
            console.print(f"{rank:>4}  {hit['url']}", highlight=False, soft_wrap=True)


def hits_table(hits: Sequence[Document], before: int = 0) -> Table:
    """Draw scenes that answer a search, best first."""
    table = Table(box=None, header_style="dim")
    for heading in ("rank", "sure", "score", "start", "end"):
        table.add_column(heading, justify="right")
    for heading in ("video", "title", "why"):
        table.add_column(heading)
    for rank, hit in enumerate(hits, before + 1):
        confidence = hit.get("confidence")
        sure = "-" if confidence is None else f"{confidence:.0%}"
        times = clock(hit["start_s"]), clock(hit["end_s"])
        row = (str(rank), sure, f"{hit['score']:.3f}", *times, hit["video_id"][:8])
        style = "dim" if hit.get("is_good_match") is False else None
        table.add_row(*row, escape(hit["title"]), escape(why(hit)), style=style)
    return table


def why(hit: Document) -> str:
    """Say in words why a scene was found."""
    reasons = hit.get("why") or {}
    said = reasons.get("text")
    parts = ["picture"] if reasons.get("visual") and not (said and _is_unlike(hit)) else []
    if said:
        parts.append("text: " + ", ".join(said["words"][:_MOST_WORDS]))
    if same := hit.get("same"):
        parts.append(f"+{len(same)} that look the same")
    return "; ".join(parts)


def _is_unlike(hit: Document) -> bool:
    """Say whether its picture alone would be no good match."""
    confidence = hit.get("confidence")
    return confidence is not None and confidence < 0.5  # noqa: PLR2004 - one half is the cut-off in every space
