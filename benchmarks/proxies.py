"""Films as the pipeline transcodes them, and what that costs."""

import resource
import time
from pathlib import Path

from core.settings import LimitSettings, MediaSettings
from media.assembly import assemble
from media.chunks import EncodedChunk, chunks_for, encode_chunk
from media.ladder import rungs_for
from media.tools import Tools
from media.validation import inspect


class Spent:
    """Processor seconds, of this process and of the children that ended, and wall seconds since it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall = _cpu_s(), time.perf_counter()

    @property
    def cpu_s(self) -> float:
        return _cpu_s() - self._cpu

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self._wall


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def transcoded(film: Path, folder: Path, tools: Tools, *, with_rungs: bool = True) -> Path:
    """Transcode as an upload would be; give the proxy.

    Args:
        folder: empty; holds what is made.
        with_rungs: False makes the proxy alone.
    """
    settings, limits = MediaSettings(), LimitSettings()
    facts = inspect(film, tools, limits)
    rungs = rungs_for(facts, settings) if with_rungs else ()
    pieces: list[tuple[EncodedChunk, Path]] = []
    for chunk in chunks_for(facts, settings):
        own = folder / f"chunk-{chunk.index}"
        own.mkdir()
        made = encode_chunk(
            film,
            facts,
            chunk,
            rungs,
            with_proxy=True,
            settings=settings,
            limits=limits,
            folder=own,
            tools=tools,
        )
        pieces.append((made, own))
    whole = assemble(
        [made for made, _ in pieces],
        lambda name: (own / made.pieces[name] for made, own in pieces if made.frames),
        facts,
        rungs,
        with_proxy=True,
        limits=limits,
        folder=folder,
        tools=tools,
    )
    assert whole.proxy is not None
    return whole.proxy
