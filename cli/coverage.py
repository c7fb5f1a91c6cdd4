"""`dailies coverage`, `dailies why` and `dailies backfill`: what lacks what, and bringing it up to date."""

import datetime as dt
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.client import Document, service_of
from cli.options import HERE, AsJson, DataFolder
from cli.output import print_json, size, usage_error

#: Stages that a backfill brings up to date.
STAGES = ("transcode", "shots", "stills", "embed")


def coverage(as_json: AsJson = False, data: DataFolder = HERE) -> None:
    """Show how many videos every stage, and every embedding space, was done for by today's settings and code.

    \b
    Examples:
      dailies coverage
      dailies coverage --json | jq '.[] | select(.stale > 0)'
    """
    with service_of(data) as service:
        rows = service.coverage()
    if as_json:
        print_json(rows)
    else:
        Console(soft_wrap=True, highlight=False).print(_table(rows))


def _table(rows: list[Document]) -> Table:
    table = Table(box=None, header_style="dim")
    table.add_column("stage")
    for heading in ("up to date", "stale", "failed", "missing", "rejected", "videos", "coverage"):
        table.add_column(heading, justify="right")
    for row in rows:
        wanted = row["videos"] - row["empty"]
        # Never rounded up: 100 % means every video.
        share = int(1000 * row["produced"] / wanted) / 10 if wanted else 100.0
        name = row["stage"] + (f" {escape(row['space'])}" if row["space"] else "")
        numbers = [row[key] for key in ("produced", "stale", "failed", "missing", "empty", "videos")]
        table.add_row(name, *(f"{number:,}" for number in numbers), f"{share:g} %")
    return table


def why(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="Its id, or the first digits of it.")],
    as_json: AsJson = False,
    data: DataFolder = HERE,
) -> None:
    """Say in a sentence why a video is not searchable, and what to do next.

    \b
    Examples:
      dailies why 3f2a91c0
    """
    with service_of(data) as service:
        answer = service.why(service.resolve(video))
    if as_json:
        print_json(answer)
        return
    console = Console(soft_wrap=True, highlight=False)
    console.print(escape(answer["sentence"]))
    if answer["next_step"]:
        console.print(f"[dim]{escape(answer['next_step'])}[/dim]")


def backfill(
    stage: Annotated[str, typer.Argument(metavar="STAGE", help=f"What to bring up to date: {', '.join(STAGES)}.")],
    space: Annotated[
        str | None,
        typer.Option(help="With embed: whose space, as `dailies encoders` shows it; default: the configured."),
    ] = None,
    newest: Annotated[bool, typer.Option("--newest", help="The newest videos first.")] = False,
    since: Annotated[
        dt.datetime | None, typer.Option(help="Only videos that came at this time or later (UTC).")
    ] = None,
    until: Annotated[dt.datetime | None, typer.Option(help="Only videos that came before this time (UTC).")] = None,
    per_minute: Annotated[int, typer.Option(min=1, max=600, help="Videos a minute at most.")] = 60,
    daily_budget: Annotated[int, typer.Option(min=1, help="Videos a day at most, over all backfills.")] = 10_000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count, and estimate hours and bytes.")] = False,
    as_json: AsJson = False,
    data: DataFolder = HERE,
) -> None:
    """Do a stage again for videos that were done by other settings, another model or older code.

    Only what is stale is made; searches and players go on with what is there. Pause it, or watch it, in the Prefect UI.

    \b
    Examples:
      dailies backfill embed --dry-run            how much there is to do
      dailies backfill embed --space siglip2      fill a second encoder's space, from the proxies
      dailies backfill shots --since 2026-01-01 --per-minute 10
    """
    if stage not in STAGES:
        usage_error(f"{stage}: give one of {', '.join(STAGES)}.")
    if space is not None and stage != "embed":
        usage_error("--space goes with embed.")
    body = {
        "stage": stage,
        "space": space,
        "order": "newest" if newest else "oldest",
        "since": _utc(since),
        "until": _utc(until),
        "per_minute": per_minute,
        "daily_budget": daily_budget,
        "dry_run": dry_run,
    }
    with service_of(data) as service:
        answer = service.backfill(body)
    if as_json:
        print_json(answer)
    else:
        _tell(Console(soft_wrap=True, highlight=False), answer)


def _utc(time: dt.datetime | None) -> str | None:
    return time.replace(tzinfo=dt.UTC).isoformat() if time else None


def _tell(console: Console, answer: Document) -> None:
    if not answer["videos"]:
        console.print("every video is up to date")
        return
    hours = "unknown until one was done" if answer["hours"] is None else f"{answer['hours']:,.2f} h"
    results = "" if answer["bytes"] is None else f", results {size(answer['bytes'])}"
    number = f"{answer['videos']:,} video" + ("" if answer["videos"] == 1 else "s")
    console.print(f"{number} to bring up to date; estimated time {hours}{results}")
    if answer["run_url"]:
        console.print(f"watch, pause and resume it at {answer['run_url']}")
    else:
        console.print("nothing was started: leave out --dry-run to start it")
