"""What the demo prints about a film: its scenes, and where each search finds the right one."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.client import Document, Service
from cli.demo_film import DemoScene
from cli.output import clock, count
from cli.search import print_hits
from cli.videos import scenes_table

#: Hits asked for: enough for every scene of the film.
HITS = 100
#: Share of a scene's time from which on it is said to show something.
NAMED_FROM = 0.25
#: Hits shown for a user's own search.
SHOWN = 3


def show_scenes(console: Console, document: Document, known: Sequence[DemoScene]) -> None:
    """Print the scenes that were found, with what each one shows where that is known."""
    console.print(f"\nfound {count(document['scenes'], 'scene')}:")
    names = [shown_in(scene, known) for scene in document["scenes"]] if known else None
    console.print(scenes_table(document["scenes"], names))


def overlap_s(scene: Document, known: DemoScene) -> float:
    """Give the seconds that a found scene shares with a composed one."""
    shared: float = min(scene["end_s"], known.end_s) - max(scene["start_s"], known.start_s)
    return max(0.0, shared)


def shown_in(scene: Document, known: Sequence[DemoScene]) -> str:
    """Name what a found scene shows for a quarter of its time or more."""
    least = (scene["end_s"] - scene["start_s"]) * NAMED_FROM
    return " and ".join(each.name for each in known if overlap_s(scene, each) >= least) or "-"


def show_searches(
    console: Console, service: Service, document: Document, known: Sequence[DemoScene], texts: Sequence[str]
) -> int:
    """Search through the public door and print where the right scene ranks; give how many rank first."""
    firsts = 0
    if known:
        table = Table(box=None, header_style="dim")
        for heading in ("search", "rank", "score", "found first", "took"):
            table.add_column(heading, justify="left" if heading in {"search", "found first"} else "right")
        for wanted in known:
            began = time.monotonic()
            hits = service.search(wanted.query, HITS, video=document["video_id"], collapse="false")
            took = time.monotonic() - began
            rank = rank_of(wanted, hits)
            firsts += rank == 1
            first = hits[0] if hits else None
            table.add_row(
                wanted.query,
                f"[bold green]{rank}[/bold green]" if rank == 1 else str(rank or "-"),
                f"{first['score']:.3f}" if first else "-",
                f"{shown_in(first, known)} at {clock(first['start_s'])}" if first else "-",
                clock(took),
            )
        console.print("\nsearches (rank of the right scene; the first search loads the network):")
        console.print(table)
    for text in texts:
        console.print(f"\nsearch: {escape(text)}")
        print_hits(console, service.search(text, SHOWN))
    return firsts


def rank_of(wanted: DemoScene, hits: Sequence[Document]) -> int | None:
    """Give the place, from 1 on, of the found scene that shows most of the wanted one; None when none does."""
    best = max(hits, key=lambda hit: overlap_s(hit, wanted), default=None)
    return hits.index(best) + 1 if best is not None and overlap_s(best, wanted) > 0 else None
