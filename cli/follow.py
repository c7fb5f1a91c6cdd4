"""Waits for videos and shows how far they are, stage by stage, until each has ended."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

from cli.client import Document, Service, ServiceUnreachable
from cli.output import clock, coloured
from core.stages import Stage

#: States in which nothing happens any more by itself.
ENDED: Final = frozenset({"indexed", "rejected", "failed"})
#: Seconds between two looks.
POLL_S: Final = 0.3
#: Seconds for which a service may be silent, while it restarts, before waiting is given up.
PATIENCE_S: Final = 90.0


def follow(service: Service, names: Mapping[str, str], console: Console) -> None:
    """Wait until all these videos have ended; `names` maps video ids to what a person calls them.

    Raises:
        ServiceUnreachable: the service was silent for longer than a restart takes (transient).
    """
    watched = _Watched(service, names)
    if not console.is_terminal:
        while not watched.look():
            time.sleep(POLL_S)
        return
    with Live(watched.shown(), console=console, refresh_per_second=8, transient=True) as live:
        while not watched.look():
            live.update(watched.shown())
            time.sleep(POLL_S)


class _Watched:
    """What is known of the videos that are waited for."""

    def __init__(self, service: Service, names: Mapping[str, str]) -> None:
        self._service = service
        self._names = names
        self._known: dict[str, Document] = {}
        self._began: dict[tuple[str, str, int], float] = {}
        self._heard = time.monotonic()

    def look(self) -> bool:
        """Ask after every video that has not ended; say whether all have."""
        for video_id in self._names:
            if self._state(video_id) in ENDED:
                continue
            try:
                self._known[video_id] = self._service.status(video_id)
                self._heard = time.monotonic()
            except ServiceUnreachable:
                if time.monotonic() - self._heard > PATIENCE_S:
                    raise
        return all(self._state(video_id) in ENDED for video_id in self._names)

    def _state(self, video_id: str) -> str:
        return str(self._known.get(video_id, {}).get("status", "waiting"))

    def shown(self) -> RenderableType:
        """Draw one video by its stages, several by one line each."""
        if len(self._names) == 1:
            [video_id] = self._names
            return stages_table(self._known.get(video_id, {}).get("stages", []), self._elapsed(video_id))
        table = Table(box=None, header_style="dim")
        for heading in ("video", "status", "stage"):
            table.add_column(heading)
        table.add_column("s", justify="right")
        table.add_column("")
        for video_id, name in self._names.items():
            newest = (self._known.get(video_id, {}).get("stages") or [{}])[-1]
            status = self._state(video_id)
            running = self._elapsed(video_id).get(newest.get("stage", ""), newest.get("seconds", 0.0))
            table.add_row(name, coloured(status), newest.get("stage", ""), f"{running:.1f}", progress_of(newest))
        return table

    def _elapsed(self, video_id: str) -> dict[str, float]:
        """Give the seconds since each running stage was first seen running, here."""
        now = time.monotonic()
        return {
            stage["stage"]: now - self._began.setdefault((video_id, stage["stage"], stage["attempts"]), now)
            for stage in self._known.get(video_id, {}).get("stages", [])
            if stage["state"] == "running"
        }


def stages_table(stages: Sequence[Document], elapsed: Mapping[str, float] | None = None) -> Table:
    """Draw every stage of the pipeline with its state; `elapsed` has the seconds of those that run."""
    table = Table(box=None, header_style="dim")
    table.add_column("stage")
    table.add_column("state")
    table.add_column("tries", justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("")
    known = {stage["stage"]: stage for stage in stages}
    for name in Stage:
        stage = known.get(name)
        if stage is None:
            table.add_row(name, "[dim]waiting[/dim]", "", "", "")
            continue
        took = (elapsed or {}).get(name, stage["seconds"])
        table.add_row(name, coloured(stage["state"]), str(stage["attempts"]), f"{took:.1f}", progress_of(stage))
    return table


def progress_of(stage: Document) -> str:
    """Say in a few words how far a running stage is; nothing where nobody knows."""
    progress = stage.get("progress")
    if not progress:
        return ""
    words = [f"{progress['percent']:.0f} %", f"{progress['fps']:.0f} fps", f"{progress['speed']:.1f}x"]
    words += [f"{clock(progress['eta_s'])} left"] if progress["eta_s"] is not None else []
    return ", ".join(words)
