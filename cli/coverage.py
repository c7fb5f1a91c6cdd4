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
from core.agreed import BEGIN_ON_DAYS
from core.stages import REDONE, Stage

#: In what ways a video may not be up to date.
LACKS = ("failed", "stale", "missing")


def coverage(
    stage: Annotated[
        str | None, typer.Argument(metavar="[STAGE]", help="List the videos that are not up to date in this stage.")
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="With embed: in which space; default: the one that answers searches.")
    ] = None,
    state: Annotated[str | None, typer.Option(help=f"Only these: {', '.join(LACKS)}.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to list at most.")] = 50,
    as_json: AsJson = False,
    data: DataFolder = HERE,
) -> None:
    """Show how many videos every stage, and every embedding space, was done for by today's settings and code.

    With a stage, list the videos that are not: newest first, and why each counts. A verdict stands whatever the limits
    are now, so validate and publish are never stale; `dailies rerun VIDEO` validates anew.

    \b
    Examples:
      dailies coverage
      dailies coverage shots --state failed
      dailies coverage embed --space siglip2 --json | jq -r '.[].video_id'
    """
    if stage is None:
        if space is not None or state is not None:
            usage_error("--space and --state go with a stage.")
        with service_of(data) as service:
            rows = service.coverage()
        _show(rows, _table(rows), as_json=as_json)
        return
    if stage not in tuple(Stage):
        usage_error(f"{stage}: give one of {', '.join(Stage)}.")
    if state is not None and state not in LACKS:
        usage_error(f"{state}: give one of {', '.join(LACKS)}.")
    if space is not None and stage != Stage.EMBED:
        usage_error("--space goes with embed.")
    given = {key: value for key, value in (("space", space), ("state", state)) if value is not None}
    with service_of(data) as service:
        found = service.lacking(stage, limit, **given)
    _show(found, _list(found), as_json=as_json)


def _show(rows: list[Document], table: Table, *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
    else:
        Console(soft_wrap=True, highlight=False).print(table if rows else "every video is up to date")


def _list(rows: list[Document]) -> Table:
    table = Table(box=None, header_style="dim")
    for heading in ("video", "state", "status", "title"):
        table.add_column(heading)
    for row in rows:
        table.add_row(row["video_id"], row["state"], row["status"], escape(row["title"]))
    return table


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
    stage: Annotated[str, typer.Argument(metavar="STAGE", help=f"What to bring up to date: {', '.join(REDONE)}.")],
    space: Annotated[
        str | None,
        typer.Option(help="With embed: whose space, as `dailies encoders` shows it; default: the configured."),
    ] = None,
    state: Annotated[str | None, typer.Option(help=f"Only videos that coverage counts so: {', '.join(LACKS)}.")] = None,
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
      dailies backfill transcode --state failed   those whose newest try failed
    """
    if stage not in REDONE:
        usage_error(f"{stage}: give one of {', '.join(REDONE)}.")
    if state is not None and state not in LACKS:
        usage_error(f"{state}: give one of {', '.join(LACKS)}.")
    if space is not None and stage != Stage.EMBED:
        usage_error("--space goes with embed.")
    body = {
        "stage": stage,
        "space": space,
        "state": state,
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
    # A service of the release before does not tell them.
    if (days := answer.get("days", 1)) > 1:
        console.print(BEGIN_ON_DAYS.format(days))
    if answer["run_url"]:
        console.print(f"watch, pause and resume it at {answer['run_url']}")
    else:
        console.print("nothing was started: leave out --dry-run to start it")
