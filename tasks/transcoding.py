"""Make every rendition and the analysis proxy from one decode of the source."""

from pathlib import Path

from pydantic import TypeAdapter

from core.settings import Settings, get_settings
from core.stages import Stage
from core.values import Proxy, Rendition, Rung, StoredFile, Ticket, Transcoded, ValidatedSource, Value
from media.ladder import proxy_size, rungs_for
from media.tools import find_tools
from media.transcode import TranscodeResult
from media.transcode import transcode as run_transcode
from storage import keys
from storage.client import object_store
from tasks import naming, scratch
from tasks.result_store import stored_result
from tasks.stage import stage_task


class Output(Value):
    """Manifest of one output of the decode, so that a new rung remakes that rung only."""

    #: Frames and seconds of the video stream as this decode counted them.
    frames: int
    duration_s: str
    degraded: tuple[str, ...]
    width: int
    height: int
    file: StoredFile


@stage_task(
    Stage.TRANSCODE, name=naming.transcode, task_run_name="transcode {source.facts.width}x{source.facts.height}"
)
def transcode(ticket: Ticket, source: ValidatedSource) -> Transcoded:
    """Make the renditions and the proxy that are not in the store yet.

    Raises:
        InvalidMedia: more of the video is damaged than the error budget allows (verdict).
        EncoderKilled, EncoderStalled: transient.  EncoderRejected: permanent.
    """
    settings = get_settings()
    rungs = rungs_for(source.facts, settings.media)
    names = {rung.name: naming.rendition(settings, ticket, source, rung) for rung in rungs}
    proxy_name = naming.proxy(settings, ticket, source)
    known = {name: recall(settings, ticket, name) for name in (*names.values(), proxy_name)}
    missing = [rung for rung in rungs if known[names[rung.name]] is None]
    if missing or known[proxy_name] is None:
        known |= _make(settings, ticket, source, missing, names, proxy_name, with_proxy=known[proxy_name] is None)
    made = {name: output for name, output in known.items() if output is not None}
    return Transcoded(
        fingerprint=naming.transcode(settings, ticket, source),
        duration_s=made[proxy_name].duration_s,
        frames=made[proxy_name].frames,
        renditions=tuple(_rendition(rung, names[rung.name], made[names[rung.name]]) for rung in rungs),
        proxy=_proxy(proxy_name, made[proxy_name]),
        degraded=tuple(dict.fromkeys(note for output in made.values() for note in output.degraded)),
    )


def _make(
    settings: Settings,
    ticket: Ticket,
    source: ValidatedSource,
    rungs: list[Rung],
    names: dict[str, str],
    proxy_name: str,
    *,
    with_proxy: bool,
) -> dict[str, Output | None]:
    original, _ = scratch.source_copy(ticket, source.sha256)
    folder = scratch.work_folder(ticket, "transcode")
    # Renditions together are seldom larger than their source; the check is for a disk that is nearly full.
    scratch.require_space(folder, source.size_bytes)
    tools = find_tools(settings.media)
    result = run_transcode(
        original,
        source.facts,
        rungs,
        with_proxy=with_proxy,
        settings=settings.media,
        limits=settings.limits,
        folder=folder,
        tools=tools,
    )
    made: dict[str, Output | None] = {}
    for rung in rungs:
        path = result.rungs[rung.name]
        made[names[rung.name]] = _keep(ticket, names[rung.name], path, result, rung.width, rung.height)
    if with_proxy and result.proxy is not None:
        made[proxy_name] = _keep(
            ticket, proxy_name, result.proxy, result, *proxy_size(source.facts, settings.media.proxy_short_side)
        )
    return made


def _keep(ticket: Ticket, name: str, path: Path, result: TranscodeResult, width: int, height: int) -> Output:
    """Store one output and then its manifest, so that no manifest ever names a missing file."""
    store = object_store(get_settings().storage)
    key = keys.derived(ticket.video_id, Stage.TRANSCODE, name, ticket.attempt, path.name)
    output = Output(
        frames=result.frames,
        duration_s=str(result.duration_s),
        degraded=result.degraded,
        width=width,
        height=height,
        file=store.put(path, key, "video/mp4"),
    )
    content = output.model_dump_json().encode()
    store.put_bytes(content, keys.manifest(ticket.video_id, Stage.TRANSCODE, name), "application/json")
    return output


def recall(settings: Settings, ticket: Ticket, name: str) -> Output | None:
    """Give an output that an earlier decode stored whole; None when it must be made."""
    content = stored_result(object_store(settings.storage), keys.manifest(ticket.video_id, Stage.TRANSCODE, name))
    return None if content is None else TypeAdapter(Output).validate_json(content)


def _rendition(rung: Rung, name: str, output: Output) -> Rendition:
    return Rendition(name=rung.name, width=rung.width, height=rung.height, fingerprint=name, file=output.file)


def _proxy(name: str, output: Output) -> Proxy:
    return Proxy(width=output.width, height=output.height, fingerprint=name, file=output.file)
