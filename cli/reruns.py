"""`dailies rerun` and `dailies failures`: what went wrong, and doing it again from where it stopped."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from cli.client import Document, service_of
from cli.options import HERE, AsJson, DataFolder
from cli.output import print_json, usage_error


def rerun(
    video: Annotated[str | None, typer.Argument(metavar="[VIDEO]", help="Its id, or the first digits of it.")] = None,
    from_stage: Annotated[
        str | None, typer.Option("--from", metavar="STAGE", help="Redo this stage and those after it.")
    ] = None,
    error: Annotated[
        str | None, typer.Option("--error", metavar="FP", help="All videos of one group of `dailies failures`.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All failed videos.")] = False,
    status: Annotated[str | None, typer.Option(help="All videos with this status: failed or rejected.")] = None,
    per_minute: Annotated[int, typer.Option(min=1, max=600, help="Turns a minute at most, for a group.")] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which videos it would be.")] = False,
    as_json: AsJson = False,
    data: DataFolder = HERE,
) -> None:
    """Resume videos at the first stage that is not finished; finished stages are reused.

    \b
    Examples:
      dailies rerun 3f2a91c0
      dailies rerun 3f2a91c0 --from shots     redo shots and what follows
      dailies rerun --error 9c1f03ab77de --dry-run
      dailies rerun --failed
      dailies rerun --status rejected         after the limits were changed
    """
    chosen = [
        name
        for name, given in (("VIDEO", video), ("--error", error), ("--failed", failed), ("--status", status))
        if given
    ]
    if len(chosen) != 1:
        usage_error("Name one VIDEO, or a group with --error, --failed or --status.")
    if video is not None and dry_run:
        usage_error("--dry-run goes with a group.")
    if video is None and from_stage is not None:
        usage_error("--from goes with one VIDEO.")
    wanted = status or "failed"
    if wanted not in {"failed", "rejected"}:
        usage_error(f"--status {wanted}: give failed or rejected.")
    with service_of(data) as service:
        if video is not None:
            _one(service.rerun(service.resolve(video), _stage(from_stage)), as_json=as_json)
            return
        group: dict[str, Any] = {"status": wanted, "fingerprint": error, "per_minute": per_minute, "dry_run": dry_run}
        _many(service.redrive(**group), as_json=as_json)


def _stage(name: str | None) -> str | None:
    from core.stages import Stage

    if name is not None and name not in {*Stage}:
        usage_error(f"--from {name}: give one of {', '.join(Stage)}.")
    return name


def _one(answer: Document, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    Console(soft_wrap=True).print(f"{answer['video_id']} resumes; watch it at {answer['run_url']}", highlight=False)


def _many(answer: Document, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        console = Console(soft_wrap=True, highlight=False)
        for video_id in answer["video_ids"]:
            console.print(video_id)
        if (unnamed := answer["count"] - len(answer["video_ids"])) > 0:
            console.print(f"and {unnamed} more")
        number = f"{answer['count']} video" + ("" if answer["count"] == 1 else "s")
        if answer["dry_run"]:
            console.print(f"{number} would be rerun")
        else:
            console.print(f"{number} lined up, the last one's turn in {answer['spread_s']:.0f} s or later")
        if answer["waiting"]:
            console.print(f"{answer['waiting']} in line now; follow them with: dailies failures")


def failures(as_json: AsJson = False, data: DataFolder = HERE) -> None:
    """List failed videos, grouped by what went wrong: stage, error and message without its numbers.

    \b
    Examples:
      dailies failures
      dailies rerun --error $(dailies failures --json | jq -r '.[0].fingerprint')
    """
    with service_of(data) as service:
        groups = service.failures()
    if as_json:
        print_json(groups)
    elif not groups:
        Console().print("nothing has failed")
    else:
        _print_groups(Console(soft_wrap=True, highlight=False), groups)


def _print_groups(console: Console, groups: list[Document]) -> None:
    """Print two lines a group: what and how often, then one of its messages."""
    for group in groups:
        first, last = (group[name][:16].replace("T", " ") for name in ("first_seen", "last_seen"))
        number = f"{group['count']} video" + ("" if group["count"] == 1 else "s")
        number += f" ({group['waiting']} in line for a rerun)" if group.get("waiting") else ""
        where = group["stage"] or "between stages"
        seen = first if first == last else f"{first} to {last}"
        console.print(f"[bold]{group['fingerprint']}[/bold]  {number}  {where}  {group['error_class']}  {seen}")
        message = next(iter(group["sample"].splitlines()), "")
        console.print(f"[dim]  {group['sample_video_id'][:8]}: {escape(message)}[/dim]")
