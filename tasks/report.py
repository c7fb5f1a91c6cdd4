"""What a run's page in the Prefect UI shows: artifacts in Markdown, written for people."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.exceptions import PrefectException

from core.agreed import BEGIN_ON_DAYS
from core.markdown import escaped
from core.settings import get_settings
from core.values import DetectedShots, Stills, Ticket, Transcoded, ValidatedSource
from models.coverage import Coverage

logger = logging.getLogger(__name__)

#: Scenes listed before the rest is only counted.
MAX_ROWS = 40


@contextmanager
def best_effort() -> Iterator[None]:
    """Only log what keeps a page from being written: what it tells of is committed, and no run may fail for it."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever the Prefect client or its server makes of it
        get_run_logger().warning("the run's page does not tell what was made: %s: %s", type(error).__name__, error)


def indexed(
    ticket: Ticket, source: ValidatedSource, transcoded: Transcoded, detected: DetectedShots, stills: Stills
) -> None:
    """Tell what came in and what was made, and link the contact sheet."""
    base = f"{get_settings().service.url}/videos/{ticket.video_id}"
    facts = source.facts
    sound = facts.audio_codec or "no sound"
    lines = [
        f"# {escaped(ticket.source.key)}",
        (
            f"**In:** {facts.container}, {facts.video_codec}, {facts.width}x{facts.height} at "
            f"{float(facts.frame_rate):.3g} fps, {sound}, {float(transcoded.duration_s):.2f} s, {source.size_bytes:,} bytes"
        ),
        "",
        f"[Play it]({base}/files/video.mp4)",
        "",
        "| rendition | size | bytes |",
        "|---|---|---|",
        *(f"| {made.name} | {made.width}x{made.height} | {made.file.size_bytes:,} |" for made in transcoded.renditions),
        "",
        f"**{len(detected.scenes)} scenes** from {len(detected.shots)} shots",
        "",
        "| scene | start | end |",
        "|---|---|---|",
        *(f"| {scene.index} | {scene.start_s:.2f} s | {scene.end_s:.2f} s |" for scene in detected.scenes[:MAX_ROWS]),
    ]
    if len(detected.scenes) > MAX_ROWS:
        lines.append(f"| … | {len(detected.scenes) - MAX_ROWS} more | |")
    notes = (*facts.degraded, *transcoded.degraded, *stills.degraded)
    lines += ["", *(f"- degraded: {note}" for note in notes)]
    if stills.contact_sheet:
        lines += ["", f"[Contact sheet]({base}/files/contact-sheet.jpg)"]
        create_link_artifact(
            key=f"contact-sheet-{ticket.video_id}", link=f"{base}/files/contact-sheet.jpg", link_text="Contact sheet"
        )
    create_markdown_artifact(
        key=f"video-{ticket.video_id}", markdown="\n".join(lines), description="What came in, what was made"
    )


def rejected(ticket: Ticket, reason: str, sentence: str) -> None:
    """Tell the verdict."""
    create_markdown_artifact(
        key=f"video-{ticket.video_id}",
        markdown=f"# {escaped(ticket.source.key)}\n\n**Rejected: `{reason}`**\n\n{sentence}\n\nNothing was retried: "
        "the same file gives the same verdict. Upload a mended file, or change the limits and retry this run.",
        description="Why this file was rejected",
    )


def reconciled(result: dict[str, Any] | None, so_far: dict[str, int]) -> None:
    """Tell what a reconcile found, and what was set right since the installation."""
    markdown = set_right_page(result, so_far)
    create_markdown_artifact(key="reconcile", markdown=markdown, description="What reconcile set right")


def set_right_page(result: dict[str, Any] | None, so_far: dict[str, int]) -> str:
    """Write it as Markdown; most is set right by the service, between two runs of the flow."""
    found = dict(result or {})
    problems = found.pop("problems", [])
    lines = [] if result else ["Another process was reconciling at this moment; nothing was left to do here.", ""]
    lines += ["| set right | this time | since the installation |", "|---|---|---|"]
    lines += [
        f"| {name.replace('_', ' ')} | {found.get(name, 0)} | {so_far.get(name, '-')} |"
        for name in (*found, *sorted(so_far.keys() - found.keys()))
    ]
    lines += ["", *(f"- not done this time: {problem}" for problem in problems)] if problems else []
    return "\n".join(lines)


def redriven(result: dict[str, Any]) -> None:
    """Tell which videos a redrive took."""
    what = "would be rerun (dry run)" if result["dry_run"] else "stand in line for a rerun"
    unnamed = result["count"] - len(result["video_ids"])
    lines = [
        f"**{result['count']} videos {what}**",
        "",
        *(f"- {video_id}" for video_id in result["video_ids"]),
        *([f"- … and {unnamed} more"] if unnamed else []),
        "",
        f"The last one's turn comes in {result['spread_s']:.0f} s or later; {result['waiting']} stand in line now.",
    ]
    create_markdown_artifact(key="redrive", markdown="\n".join(lines), description="Which videos were rerun")


def vacuumed(result: dict[str, Any]) -> None:
    """Tell what a vacuum removed."""
    what = "would be removed (dry run)" if result["dry_run"] else "were removed"
    lines = [
        f"**{result['removed']} flow runs that ended before {result['before']} {what}**",
        "",
        f"{result['kept']} as old stay: their videos are not finished, and they may be resumed.",
        *(["", "It stopped at its limit; the next vacuum goes on."] if result["more"] else []),
    ]
    create_markdown_artifact(key="vacuum", markdown="\n".join(lines), description="What a vacuum removed")


def coverage(rows: Sequence[Coverage]) -> None:
    """Tell how many videos are up to date in every stage and space."""
    shown = ("videos", "produced", "stale", "failed", "missing", "empty")
    table = [{"stage": str(row.stage), "space": row.space or "", **row.model_dump(include={*shown})} for row in rows]
    with _told_later():
        create_table_artifact(
            key="coverage",
            table=table,
            description="Videos up to date (produced), done otherwise than today (stale), failed, missing, rejected (empty); "
            "`dailies coverage STAGE` lists them",
        )


class BackfillPage:
    """What the page of a backfill shows: what was planned, then how far it is."""

    def __init__(self, stage: str, videos: int, hours: float | None, size_bytes: int | None, days: int) -> None:
        self._videos = videos
        self._began = time.monotonic()
        self._told: tuple[int | str | bool, ...] = ()
        lines = [
            f"**{videos:,} videos** lack today's recipe of `{stage}`.",
            "",
            f"- estimated time: {'unknown until one was done' if hours is None else f'{hours:,.2f} hours'}",
            f"- estimated results: {'not known' if size_bytes is None else f'{size_bytes / 1e6:,.1f} MB'}",
        ]
        lines += [f"- {BEGIN_ON_DAYS.format(days)}"] if days > 1 else []
        with _told_later():
            create_markdown_artifact(key="backfill", markdown="\n".join(lines), description="What there is to do")
        self._progress: UUID | None = None

    def tell(self, done: int, failed: int, going: int, *, is_over: bool, note: str) -> None:
        """Tell how far it is, if it has moved."""
        if (told := (done, failed, going, is_over, note)) == self._told:
            return
        # There may be more by now than was planned, or less.
        videos = max(self._videos, done + failed + going)
        left = videos - done - failed
        percent = 100.0 if is_over and not note else round(100 * (done + failed) / max(1, videos), 1)
        spent = time.monotonic() - self._began
        eta = f", about {left * spent / done / 60:.0f} min left" if done and left > 0 and not is_over else ""
        said = f"{done} of {videos} done, {failed} failed, {going} asked for{eta}. {note}".strip()
        with _told_later():
            if self._progress is None:
                artifact = create_progress_artifact(percent, key="backfill-progress", description=said)
                self._progress = cast("UUID", artifact)
            else:
                update_progress_artifact(self._progress, percent, description=said)
            self._told = told


@contextmanager
def _told_later() -> Iterator[None]:
    """Let work of days go on when the Prefect server is away for a moment: the next step tells more anyway."""
    try:
        yield
    except (httpx.HTTPError, PrefectException) as error:
        logger.warning("the run's page is not up to date: %s", error)
