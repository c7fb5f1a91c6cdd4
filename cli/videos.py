"""`dailies show` and `dailies videos`: what became of what was uploaded."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.client import Document, service_of
from cli.follow import follow, stages_table
from cli.options import HERE, AsJson, DataFolder
from cli.output import clock, coloured, count, print_json, size

#: Shots and scenes listed before the rest is only counted.
MAX_ROWS = 50


def show(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="Its id, or the first digits of it.")],
    wait: Annotated[bool, typer.Option("--follow", "-f", help="First watch it until it has ended.")] = False,
    as_json: AsJson = False,
    data: DataFolder = HERE,
) -> None:
    """Show everything about one video: status, stages, renditions, scenes.

    \b
    Examples:
      dailies show 3f2a91c0
      dailies show 3f2a91c0 --follow
      dailies show 3f2a91c0 --json | jq '.stages[] | select(.state == "failed")'
    """
    with service_of(data) as service:
        video_id = service.resolve(video)
        if wait:
            follow(service, {video_id: video_id[:8]}, Console(stderr=True, quiet=as_json))
        document = service.video(video_id)
    if as_json:
        print_json(document)
    else:
        print_video(Console(), document)


def videos(
    status: Annotated[
        str | None,
        typer.Option(help="Only these: uploading, validating, processing, indexed, rejected, failed."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many, newest first.")] = 50,
    as_json: AsJson = False,
    data: DataFolder = HERE,
) -> None:
    """List videos, newest first.

    \b
    Examples:
      dailies videos
      dailies videos --status failed --json
    """
    from cli.output import usage_error
    from models.states import VideoStatus

    if status is not None and status not in {*VideoStatus}:
        usage_error(f"--status {status}: give one of {', '.join(VideoStatus)}.")
    with service_of(data) as service:
        found = service.videos(limit, **({"status": status} if status else {}))
    if as_json:
        print_json(found)
    elif not found:
        Console().print("no videos" + (f" with status {status}" if status else "; upload one: dailies ingest FILE"))
    else:
        Console().print(_list(found))


def _list(found: list[Document]) -> Table:
    table = Table(box=None, header_style="dim")
    for heading in ("video", "status", "duration", "uploaded", "title", "why"):
        table.add_column(heading, justify="right" if heading == "duration" else "left")
    for video in found:
        why = video["error"] or "; ".join(video["degraded"])
        table.add_row(
            video["video_id"][:8],
            coloured(video["status"]),
            clock(video["duration_s"]),
            video["created_at"][:16].replace("T", " "),
            escape(video["title"]),
            escape(why),
        )
    return table


def print_video(console: Console, video: Document) -> None:
    """Print a video's document for people."""
    line = f"[bold]{escape(video['title'])}[/bold]  {video['video_id']}  {coloured(video['status'])}"
    console.print(line, highlight=False)
    if video["error"]:
        reason = f"{video['reason']}: " if video["reason"] else ""
        console.print(f"{reason}{escape(video['error'])}", highlight=False)
    if video.get("failure"):
        stage = video["failure"]["stage"] or "unknown"
        console.print(f"failed in stage {stage}; rerun it with: dailies rerun {video['video_id'][:8]}", highlight=False)
    for note in video["degraded"]:
        console.print(f"degraded: {escape(note)}", highlight=False)
    if video["stages"]:
        console.print(stages_table(video["stages"]))
    if video["renditions"]:
        _print_renditions(console, video)
    if video["scenes"]:
        found = f"{count(video['scenes'], 'scene')} from {count(video['shots'], 'shot')}, {clock(video['duration_s'])}"
        console.print(found, highlight=False)
        console.print(scenes_table(video["scenes"][:MAX_ROWS]))
        if len(video["scenes"]) > MAX_ROWS:
            console.print(f"... and {len(video['scenes']) - MAX_ROWS} more; see --json")
    if video.get("run_url"):
        console.print(f"run: {video['run_url']}", highlight=False, soft_wrap=True)


def _print_renditions(console: Console, video: Document) -> None:
    table = Table(box=None, header_style="dim")
    for heading in ("rendition", "size", "bytes"):
        table.add_column(heading)
    for made in video["renditions"]:
        table.add_row(made["name"], f"{made['width']}x{made['height']}", size(made["bytes"]))
    console.print(table)
    for url in (video["urls"]["hls"], video["urls"]["video"], video["urls"]["contact_sheet"]):
        if url:
            console.print(url, soft_wrap=True, highlight=False)  # never broken over lines: people copy it


def scenes_table(scenes: list[Document], names: list[str] | None = None) -> Table:
    """Draw scenes with their times; `names` adds what each one shows."""
    table = Table(box=None, header_style="dim")
    for heading in ("scene", "start", "end"):
        table.add_column(heading, justify="right")
    table.add_column("shows" if names else "id")
    for index, scene in enumerate(scenes):
        last = names[index] if names else scene["scene_id"]
        table.add_row(str(index), clock(scene["start_s"]), clock(scene["end_s"]), last)
    return table
