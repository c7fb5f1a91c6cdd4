"""`dailies demo`: the whole main job in one command, on a film made here or on a file of the user's."""

import datetime as dt
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from cli.client import Document, Service, ServiceUnreachable, service_of
from cli.demo_film import DemoScene, compose
from cli.demo_report import show_scenes, show_searches
from cli.follow import follow
from cli.ingest import first_task_after_s
from cli.options import HERE, DataFolder
from cli.output import clock, usage_error
from cli.videos import print_video

#: Searches of the composed film that must put the right scene first.
MUST_RANK_FIRST: Final = 5
#: Seconds within which the store's event must have made a video of the object.
ANNOUNCED_WITHIN_S: Final = 60.0
POLL_S: Final = 0.1


@dataclass(frozen=True)
class Film:
    """What is put into the bucket, and what is known to be in it."""

    path: Path
    scenes: tuple[DemoScene, ...]
    #: Seconds that making it took.
    made_in_s: float


def demo(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A video; default: a film made here.")] = None,
    search: Annotated[list[str] | None, typer.Option("--search", help="Search for this; may be repeated.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running afterwards.")] = False,
    data: DataFolder = HERE,
) -> None:
    """Start a stack, put a film into its bucket, wait, show its scenes, search them, stop everything.

    \b
    Examples:
      dailies demo                                    a half-minute film of seven photographs
      dailies demo holiday.mp4 --search "a boat"      your own video
      dailies demo --keep                             go on in the Prefect UI afterwards
    """
    from deployments.embedded.layout import Layout

    if file is not None and not file.is_file():
        usage_error(f"There is no file {file}.")
    console, began = Console(highlight=False, soft_wrap=True), time.monotonic()
    layout = Layout.of(data)
    layout.make()
    with TemporaryDirectory(prefix="demo-", dir=layout.scratch) as folder, ThreadPoolExecutor(1) as pool:
        # The film is made while the stack starts: both take seconds.
        making = pool.submit(film_of, file, Path(folder))
        with running_stack(data, console, keep=keep):
            film = making.result()
            if file is None:
                console.print(f"film made in {clock(film.made_in_s)}, meanwhile: {len(film.scenes)} scenes")
            with service_of(data) as service:
                is_good = _main_job(service, data, film, search or [], console)
            _say_where(data, console, keep=keep)
    console.print(f"\nthe whole demo took {time.monotonic() - began:.1f} s")
    raise typer.Exit(0 if is_good else 1)


def film_of(file: Path | None, folder: Path) -> Film:
    """Give the user's file, or compose the film in `folder`."""
    if file is not None:
        return Film(file, (), 0.0)
    from core.settings import Settings
    from media.tools import find_tools

    began = time.monotonic()
    target = folder / "demo film.mp4"
    scenes = compose(target, find_tools(Settings().media))
    return Film(target, scenes, time.monotonic() - began)


@contextmanager
def running_stack(data: Path, console: Console, *, keep: bool) -> Iterator[None]:
    """Have a stack running; one that ran before is used and left alone, one that we start is stopped at the end.

    Raises:
        StackFailed: it did not start (permanent).
    """
    from deployments.embedded import stack

    began = time.monotonic()
    was_started = False
    try:
        was_started = stack.start(data, detach=True, say=lambda line: console.print(escape(line), style="dim"))
        if was_started:
            console.print(f"stack started in {clock(time.monotonic() - began)}")
        yield
    except BaseException:
        keep = False
        raise
    finally:
        if was_started and not keep:
            stopping = time.monotonic()
            stack.stop(data)
            console.print(f"everything is stopped ({clock(time.monotonic() - stopping)})")


def _main_job(service: Service, data: Path, film: Film, searches: list[str], console: Console) -> bool:
    """Index the film and search it; say whether all went as it should."""
    key = f"demo/{film.path.name}"
    before = {video["video_id"] for video in service.videos(500, key=key)}
    finished_at = put_object(data, film.path, key)
    console.print(f"\nput into the uploads bucket by a plain S3 client: {escape(key)}")
    video_id = announced(service, key, before)
    follow(service, {video_id: film.path.name}, console)
    document = service.video(video_id)
    if document["status"] != "indexed":
        print_video(console, document)
        return False
    _say_times(console, finished_at, document)
    show_scenes(console, document, film.scenes)
    firsts = show_searches(console, service, document, film.scenes, searches)
    if not film.scenes:
        return True
    console.print(f"{firsts} of {len(film.scenes)} searches put the right scene first")
    return firsts >= MUST_RANK_FIRST


def put_object(data: Path, path: Path, key: str) -> dt.datetime:
    """Put a file into the uploads bucket as any S3 client would; give the moment it was there.

    Raises:
        StorageUnavailable: transient. StorageRefused: permanent.
    """
    from core.settings import Settings
    from deployments.embedded import stack
    from storage.client import ObjectStore

    environment = stack.environment(data)
    reached = {
        "endpoint": environment["DAILIES_STORAGE__ENDPOINT"],
        "access_key": environment["DAILIES_STORAGE__ACCESS_KEY"],
        "secret_key": environment["DAILIES_STORAGE__SECRET_KEY"],
        "secure": False,
    }
    settings = Settings().storage
    store = ObjectStore(type(settings).model_validate({**settings.model_dump(), **reached}))
    store.put(path, key, "video/mp4", bucket=settings.uploads_bucket)
    return dt.datetime.now(dt.UTC)


def announced(service: Service, key: str, before: set[str]) -> str:
    """Wait until the store's event has made a video of the object; give its id.

    Raises:
        ServiceUnreachable: it did not in time (transient).
    """
    deadline = time.monotonic() + ANNOUNCED_WITHIN_S
    while time.monotonic() < deadline:
        for video in service.videos(20, key=key):
            if video["video_id"] not in before:
                return str(video["video_id"])
        time.sleep(POLL_S)
    raise ServiceUnreachable(
        f"The object store's event for {key} did not arrive within {ANNOUNCED_WITHIN_S:.0f} s: see `dailies status`."
    )


def _say_times(console: Console, finished_at: dt.datetime, document: Document) -> None:
    indexed_after = (dt.datetime.fromisoformat(document["indexed_at"]) - finished_at).total_seconds()
    console.print(f"upload finished -> first task running: {clock(first_task_after_s(finished_at, document))}")
    console.print(
        f"upload finished -> searchable: {clock(indexed_after)}, for {clock(document['duration_s'])} of video"
    )
    spent = ", ".join(f"{stage['stage']} {stage['seconds']:.1f}" for stage in document["stages"])
    console.print(f"seconds in each stage: {spent}")


def _say_where(data: Path, console: Console, *, keep: bool) -> None:
    from deployments.embedded import stack

    where = stack.environment(data)
    state = "" if keep else " (while the stack runs)"
    console.print(f"\nPrefect UI{state}: {where['DAILIES_WORKFLOW__UI_URL']}")
    folder = "" if data == HERE else f" --data {data}"
    if keep:
        console.print(f"the stack stays up; stop it with: dailies down{folder}")
    else:
        console.print(
            f"to look around, keep the stack: dailies demo --keep{folder}, or start it again: dailies up{folder}"
        )
