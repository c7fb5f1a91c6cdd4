"""`dailies ingest`: uploads files, and follows them until they are searchable."""

import datetime as dt
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from cli.client import Document, Service, put, service_of
from cli.follow import follow
from cli.options import HERE, AsJson, DataFolder
from cli.output import clock, print_json, usage_error
from core.errors import DailiesError

#: Keys of a document, for files that never became a video.
_NO_VIDEO: Document = {
    "video_id": None,
    "status": "failed",
    "reason": None,
    "error": None,
    "duration_s": None,
    "flow_run_id": None,
    "renditions": [],
    "shots": [],
    "scenes": [],
    "stages": [],
}


@dataclass
class Upload:
    """What became of one file."""

    path: Path
    video_id: str | None = None
    #: End of the PUT by this machine's clock; None when it did not end well.
    finished_at: dt.datetime | None = None
    upload_s: float | None = None
    error: str | None = None


def ingest(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Video files.", show_default=False)],
    title: Annotated[str | None, typer.Option("--title", help="Title; default: the file's name.")] = None,
    description: Annotated[str | None, typer.Option("--description", help="What it is about.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Follow the stages until the video is searchable.")
    ] = False,
    as_json: AsJson = False,
    data: DataFolder = HERE,
) -> None:
    """Upload videos and have them indexed. Exits with 1 when one failed or was rejected.

    \b
    Examples:
      dailies ingest film.mp4 --wait
      dailies ingest *.mov --description "second day, harbour"
      dailies ingest film.mp4 --wait --json | jq .scenes
    """
    _check(paths, title)
    console = Console(stderr=True, quiet=as_json)
    uploads = [Upload(path) for path in paths]
    with service_of(data) as service:
        try:
            _send_all(service, uploads, title, description, console)
            arrived = {up.video_id: up.path.name for up in uploads if up.finished_at and up.video_id}
            if wait and arrived:
                follow(service, arrived, console)
        except KeyboardInterrupt:
            _say_goodbye(uploads)
            raise typer.Exit(130) from None
        documents = [_document(service, upload) for upload in uploads]
    if as_json:
        print_json(documents if len(documents) > 1 else documents[0])
    else:
        for upload, document in zip(uploads, documents, strict=True):
            _summarise(Console(), upload, document, waited=wait)
    if any(document["status"] in {"failed", "rejected"} for document in documents):
        raise typer.Exit(1)


def _check(paths: list[Path], title: str | None) -> None:
    for path in paths:
        if not path.exists():
            usage_error(f"There is no file {path}.")
        if not path.is_file():
            usage_error(f"{path} is not a file.")
        try:
            path.open("rb").close()
        except OSError as error:
            usage_error(f"{path} cannot be read: {error.strerror}.")
    if title is not None and len(paths) > 1:
        usage_error("--title names one video: give one PATH, or leave it out to use the files' names.")


def _send_all(
    service: Service, uploads: list[Upload], title: str | None, description: str | None, console: Console
) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        for upload in uploads:
            try:
                _send(service, upload, title, description, progress)
            except DailiesError as error:
                if len(uploads) == 1:
                    raise
                upload.error = str(error)  # the other files go on


def _send(service: Service, upload: Upload, title: str | None, description: str | None, progress: Progress) -> None:
    ticket = service.announce(upload.path, title, description)
    upload.video_id = ticket["video_id"]
    bar = progress.add_task(upload.path.name, total=upload.path.stat().st_size)
    began = time.monotonic()
    put(ticket, upload.path, lambda sent: progress.advance(bar, sent))
    upload.upload_s = round(time.monotonic() - began, 3)
    upload.finished_at = dt.datetime.now(dt.UTC)
    # The video that lies there now: the same one, unless the upload had expired.
    upload.video_id = service.complete(str(upload.video_id))["video_id"]


def _document(service: Service, upload: Upload) -> Document:
    if upload.finished_at is None:
        return {**_NO_VIDEO, "path": str(upload.path), "error": upload.error, "first_task_after_s": None}
    document = service.video(str(upload.video_id))
    return {
        **document,
        "path": str(upload.path),
        "upload_s": upload.upload_s,
        "first_task_after_s": first_task_after_s(upload.finished_at, document),
    }


def first_task_after_s(finished_at: dt.datetime, document: Document) -> float | None:
    """Give the seconds from the end of the upload, by this machine's clock, to the first entry of the ledger, by the
    database's; None while no stage has begun.
    """
    began = document.get("first_task_at")
    if began is None:
        return None
    return round((dt.datetime.fromisoformat(began) - finished_at).total_seconds(), 3)


def _summarise(console: Console, upload: Upload, document: Document, *, waited: bool) -> None:
    from cli.videos import print_video

    if document["video_id"] is None:
        console.print(f"{upload.path}: [bold red]not uploaded[/bold red]: {document['error']}", highlight=False)
        return
    if not waited:
        console.print(f"{upload.path.name} is uploaded as video {document['video_id']}", highlight=False)
        console.print(f"follow it with: dailies show {document['video_id'][:8]}", highlight=False, style="dim")
        return
    print_video(console, document)
    if (seconds := document["first_task_after_s"]) is not None:
        console.print(
            f"upload finished -> first task running: {clock(seconds)} "
            "[dim](this machine's clock to the database's first ledger entry)[/dim]",
            highlight=False,
            soft_wrap=True,
        )


def _say_goodbye(uploads: list[Upload]) -> None:
    lines = ["stopped watching; what is uploaded goes on being indexed"]
    for upload in uploads:
        if upload.finished_at:
            lines.append(f"  {upload.path.name}: follow it with `dailies show {str(upload.video_id)[:8]}`")
        else:
            lines.append(f"  {upload.path.name}: not uploaded; run `dailies ingest {upload.path}` again")
    sys.stderr.write("\n".join(lines) + "\n")
