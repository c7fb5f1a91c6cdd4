"""`dailies encoders`: embedding spaces, how full each is, and the switch from one to another."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.client import Document, service_of
from cli.options import HERE, AsJson, DataFolder
from cli.output import print_json, size, usage_error


def encoders(
    action: Annotated[str, typer.Argument(metavar="[list|activate|drop]", help="What to do.")] = "list",
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Its number or name, or name@revision.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Activate it whatever stands against it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Drop it without asking.")] = False,
    as_json: AsJson = False,
    data: DataFolder = HERE,
) -> None:
    """List embedding spaces, let one answer searches, or drop one.

    \b
    Examples:
      dailies encoders                        which one answers, how full each is
      dailies encoders activate siglip2       once it holds every scene and answers its golden queries
      dailies encoders activate bundled       and back again: the old space is kept full
      dailies encoders drop bundled           when it is no longer wanted
    """
    if action not in {"list", "activate", "drop"}:
        usage_error(f"{action}: give list, activate or drop.")
    if (name is None) != (action == "list"):
        usage_error("activate and drop take the NAME of an encoder; list takes none.")
    answer: Document | list[Document]
    said: str | Table
    with service_of(data) as service:
        if name is None:
            listed = service.encoders()
            answer, said = listed, _table(listed)
        elif action == "activate":
            switched = service.activate(name, force=force)
            answer, said = switched, _switched(switched)
        else:
            if not yes:
                typer.confirm(f"Remove every vector that {name} made?", abort=True, err=True)
            gone = service.drop_space(name)
            answer, said = gone, f"{escape(gone['dropped'])} is gone, with {gone['vectors']} vectors"
    if as_json:
        print_json(answer)
    else:
        Console(soft_wrap=True, highlight=False).print(said)


def _switched(answer: Document) -> str:
    lines = [f"{escape(answer['active'])} answers searches now"]
    if answer["objections"]:
        lines.append(f"[yellow]forced[/yellow]: {escape(' '.join(answer['objections']))}")
    lines += [f"[yellow]note[/yellow]: {escape(each)}" for each in answer["untried"]]
    if answer["before"]:
        lines.append(f"back again: dailies encoders activate {escape(answer['before'])}")
    return "\n".join(lines)


def _table(spaces: list[Document]) -> str | Table:
    if not spaces:
        return "no encoder has embedded anything yet"
    table = Table(box=None, header_style="dim")
    for heading in ("no.", "name", "revision", ""):
        table.add_column(heading)
    for heading in ("dim", "videos", "coverage", "index", "size"):
        table.add_column(heading, justify="right")
    for space in spaces:
        share = space["filled"] / space["videos"] if space["videos"] else 1.0
        table.add_row(
            str(space["id"]),
            escape(space["name"]),
            escape(space["revision"][:24]),
            "[bold green]active[/bold green]" if space["is_active"] else "",
            str(space["dim"]),
            f"{space['filled']}/{space['videos']}",
            # Never rounded up: 100 % means every video.
            f"{int(share * 1000) / 10:g} %",
            space["index"],
            size(space["size_bytes"]),
        )
    return table
