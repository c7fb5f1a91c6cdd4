"""The only way a media process starts: bounded, watched, and ended with everything it started.

Conventions that let the launcher confine a process by itself:
- every input is an argument that begins with `file:` and is absolute;
- every output is a relative name, made in `cwd`, the only folder that may be written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from media.process import MediaProcess, Progress

if TYPE_CHECKING:
    from media.tools import Tools

__all__ = [
    "Completed",
    "MediaProcess",
    "Progress",
    "run",
    "run_ffmpeg",
    "run_ffprobe",
    "stream_ffmpeg",
    "stream_ffprobe",
]

#: Bytes of standard output that are kept before a process is taken for a bomb.
STDOUT_LIMIT: Final = 64 << 20


@dataclass(frozen=True)
class Completed:
    """What a media process left behind when it ended well."""

    stdout: bytes
    #: The end of standard error, at most 64 KiB.
    stderr_tail: str
    #: The last progress report; None when there was none.
    progress: Progress | None = None
    #: Pictures or packets that ffmpeg called damaged, by stream number of the first input.
    damage: Mapping[int, int] = field(default_factory=dict)


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    stall_timeout_s: float,
    on_progress: Callable[[Progress], None] | None = None,
    stdout_limit: int = STDOUT_LIMIT,
) -> Completed:
    """Run a media process to its end, in the thread that called.

    An exception raised by `on_progress` (or Ctrl-C) ends the process group and passes on.

    Raises:
        EncoderKilled: ended by a signal; `signum` says which (transient).
        EncoderStalled: made no progress for `stall_timeout_s` (transient).
        EncoderRejected: ended with a non-zero status, or wrote more than `stdout_limit` (permanent).
        ScratchFull: the disk is full (transient).
    """
    with MediaProcess(argv, cwd=cwd, stall_timeout_s=stall_timeout_s, on_progress=on_progress) as process:
        stdout = process.read_all(stdout_limit)
        process.finish()
        return Completed(stdout, process.stderr_tail, process.progress, dict(process.damage))


def run_ffmpeg(
    tools: "Tools",
    args: Sequence[str],
    *,
    cwd: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Completed:
    """Run ffmpeg under the watchdog on its own progress reports; raises what `run` raises."""
    argv = [str(tools.ffmpeg), "-nostdin", "-hide_banner", "-y", *args]
    return run(argv, cwd=cwd, stall_timeout_s=tools.stall_timeout_s, on_progress=on_progress or _ignore)


def run_ffprobe(tools: "Tools", args: Sequence[str]) -> Completed:
    """Run ffprobe; raises what `run` raises."""
    argv = [str(tools.ffprobe), "-hide_banner", *args]
    return run(argv, stall_timeout_s=tools.stall_timeout_s)


def stream_ffmpeg(tools: "Tools", args: Sequence[str]) -> MediaProcess:
    """Start ffmpeg and read what it writes to `pipe:1`; use as a context manager, then call `finish`."""
    argv = [str(tools.ffmpeg), "-nostdin", "-hide_banner", "-v", "error", *args]
    return MediaProcess(argv, cwd=None, stall_timeout_s=tools.stall_timeout_s, on_progress=None)


def stream_ffprobe(tools: "Tools", args: Sequence[str]) -> MediaProcess:
    """Start ffprobe and read its report line by line; use as a context manager, then call `finish`."""
    argv = [str(tools.ffprobe), "-hide_banner", *args]
    return MediaProcess(argv, cwd=None, stall_timeout_s=tools.stall_timeout_s, on_progress=None)


def _ignore(_: Progress) -> None:
    """Ask for progress reports, for the watchdog alone."""
