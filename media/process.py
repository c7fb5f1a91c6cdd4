"""One media process: its pipes, its watchdog and its end; started by media/launcher.py alone."""

import contextlib
import errno
import fcntl
import logging
import os
import re
import selectors
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from core.errors import EncoderKilled, EncoderRejected, EncoderStalled, MissingDependency, ScratchFull
from media.complaints import describe_end
from media.jail import ENVIRONMENT, confined

logger = logging.getLogger(__name__)

STDERR_KEPT: Final = 64 << 10
_READ_BYTES: Final = 1 << 20
_TICK_S: Final = 0.5
#: Statuses of our exec launcher, and of no media program: the jail could not be closed, the program not run.
_NOT_STARTED: Final = (126, 127)
#: Why the system starts no program while it has too many, or too little memory: it may later.
_EXHAUSTED: Final = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
#: How ffmpeg says that a picture is lost or patched up, with the stream's number; 8.x first, then 5.1. Last what
#: `print` in a filter's expression says, which in 5.1 is a bare number: whatever was damaged up to there belongs to
#: what is thrown away.
_DAMAGE: Final = re.compile(
    rb"\[vist#0:(\d+)[^\n]*(?:corrupt decoded frame|Error submitting packet)"
    rb"|Error while decoding stream #0:(\d+)|corrupt decoded frame in stream (\d+)|\[Eval @|(?:^|\r)[01]\.000000$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Progress:
    """One of ffmpeg's own progress reports."""

    #: Frames of the first video output so far.
    frame: int
    #: Seconds of media written so far.
    out_time_s: float
    fps: float
    #: Seconds of media per second of wall time; None before it is known.
    speed: float | None
    #: What ffmpeg cannot leave unchanged while it works.
    marker: tuple[str, ...] = ()


class MediaProcess:
    """A running media process, read and watched from the thread that started it.

    Args:
        on_progress: called with each of ffmpeg's reports; None asks for none, and the watchdog then
            looks at standard output alone.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None,
        stall_timeout_s: float,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.program = Path(argv[0]).name
        self._started_at = time.monotonic()
        self.progress: Progress | None = None
        #: Complaints about single pictures or packets of the first input, by stream number, since the last `print`.
        self.damage: Counter[int] = Counter()
        self._on_progress = on_progress
        self._stall_timeout_s = stall_timeout_s
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._complaints = bytearray()
        self._report = bytearray()
        with _exhaustion(self.program):
            self._selector = selectors.DefaultSelector()
            report_r, report_w = os.pipe()
        try:
            if on_progress is not None:
                argv = [argv[0], "-progress", f"pipe:{report_w}", *argv[1:]]
            self._process = _start(argv, cwd, report_w)
        except BaseException:
            os.close(report_r)
            raise
        finally:
            os.close(report_w)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._report_fd = report_r
        self._watch(self._process.stdout.fileno(), self._stdout)
        self._watch(self._process.stderr.fileno(), self._stderr)
        self._watch(report_r, self._report)
        self._active_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._kill()
        seconds, status = round(time.monotonic() - self._started_at, 3), self._process.returncode
        about = {"program": self.program, "seconds": seconds, "status": status}
        logger.info("%s ended with %s after %.2f s", self.program, status, seconds, extra=about)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        os.close(self._report_fd)
        self._selector.close()

    @property
    def stderr_tail(self) -> str:
        """The end of standard error."""
        return self._stderr.decode(errors="replace")

    def read(self, size: int) -> bytes:
        """Read exactly `size` bytes of standard output, fewer only at its end.

        Raises:
            EncoderStalled: nothing came for the stall timeout (transient).
        """
        self._active_at = time.monotonic()  # the time our caller took does not count
        while len(self._stdout) < size and self._pump():
            pass
        taken = bytes(memoryview(self._stdout)[:size])
        del self._stdout[:size]
        return taken

    def read_all(self, limit: int) -> bytes:
        """Read standard output to its end.

        Raises:
            EncoderRejected: it is longer than `limit` bytes (permanent).
        """
        while self._pump():
            if len(self._stdout) > limit:
                raise EncoderRejected(f"{self.program} wrote more than {limit} bytes of report")
        return bytes(self._stdout)

    def lines(self) -> Iterator[bytes]:
        """Give standard output line by line, to its end; nothing that was given is kept.

        Raises:
            EncoderRejected: a line is longer than any that we ask for (permanent).
        """
        while self._pump():
            *whole, rest = self._stdout.split(b"\n")
            self._stdout[:] = rest
            if len(rest) > _READ_BYTES:
                raise EncoderRejected(f"{self.program} wrote a line of more than {_READ_BYTES} bytes")
            yield from map(bytes, whole)
            self._active_at = time.monotonic()  # the time our caller took does not count
        if self._stdout:
            yield bytes(self._stdout)

    def finish(self) -> None:
        """Wait for the end and judge it; raises what media.launcher.run raises."""
        while self._pump():
            self._stdout.clear()
        while True:
            try:
                status = self._process.wait(_TICK_S)
                break
            except subprocess.TimeoutExpired:
                self._check_stall()
        if status < 0:
            killed = EncoderKilled(self._end(f"was ended by {_signal_name(-status)}"))
            killed.signum = -status
            raise killed
        if status in _NOT_STARTED:
            raise MissingDependency(self._end("could not be started"))
        if status:
            kind = ScratchFull if "No space left on device" in self.stderr_tail else EncoderRejected
            raise kind(self._end(f"ended with status {status}"))

    def _watch(self, fd: int, buffer: bytearray) -> None:
        os.set_blocking(fd, False)
        self._selector.register(fd, selectors.EVENT_READ, buffer)

    def _pump(self) -> bool:
        """Move what is ready into the buffers; False once every pipe is at its end."""
        if not self._selector.get_map():
            return False
        for key, _ in self._selector.select(_TICK_S):
            chunk = os.read(key.fd, _READ_BYTES)
            if not chunk:
                self._selector.unregister(key.fd)
                continue
            key.data.extend(chunk)
            if key.data is self._stdout:
                self._active_at = time.monotonic()
            elif key.data is self._report:
                self._take_reports()
            else:
                self._take_complaints(chunk)
        self._check_stall()
        return True

    def _take_complaints(self, chunk: bytes) -> None:
        if len(self._stderr) > 2 * STDERR_KEPT:
            del self._stderr[:-STDERR_KEPT]
        self._complaints += chunk
        whole = self._complaints.rfind(b"\n") + 1
        for match in _DAMAGE.finditer(self._complaints, 0, whole):
            if match.lastindex is None:
                self.damage.clear()
                self._active_at = time.monotonic()  # there is no report of pictures that are decoded for others' sake
            else:
                self.damage[int(match[match.lastindex])] += 1
        # A line without an end is not worth more than this.
        del self._complaints[: max(whole, len(self._complaints) - STDERR_KEPT)]

    def _take_reports(self) -> None:
        *reports, rest = self._report.split(b"progress=")
        self._report[:] = rest if reports else self._report
        for report in reports:
            now = _parse(report.decode(errors="replace"))
            if self.progress is None or now.marker != self.progress.marker:
                self._active_at = time.monotonic()
            self.progress = now
            if self._on_progress is not None:
                self._on_progress(now)

    def _check_stall(self) -> None:
        if time.monotonic() - self._active_at > self._stall_timeout_s:
            raise EncoderStalled(self._end(f"made no progress for {self._stall_timeout_s:g} s and was ended"))

    def _end(self, what: str) -> str:
        return describe_end(f"{self.program} {what}", self.stderr_tail)

    def _kill(self) -> None:
        if self._process.returncode is not None:
            return  # reaped: its number may belong to somebody else by now
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def _exhaustion(program: str) -> Iterator[None]:
    """Turn a machine that has no process, handle or memory left into something that passes."""
    try:
        yield
    except OSError as error:
        if error.errno not in _EXHAUSTED:
            raise
        raise EncoderKilled(f"{program} could not be started: {error.strerror}.") from error


def _start(argv: Sequence[str], cwd: Path | None, report_fd: int) -> "subprocess.Popen[bytes]":
    with _exhaustion(Path(argv[0]).name):
        process = subprocess.Popen(
            confined(argv, cwd),
            cwd=cwd or "/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            pass_fds=(report_fd,),
            process_group=0,
            bufsize=0,
        )
    assert process.stdout is not None
    # A larger pipe saves context switches when raw frames come through; a refusal costs only speed.
    with contextlib.suppress(OSError):
        fcntl.fcntl(process.stdout.fileno(), fcntl.F_SETPIPE_SZ, _READ_BYTES)
    return process


def _parse(report: str) -> Progress:
    facts = dict(line.split("=", 1) for line in report.splitlines() if "=" in line)
    return Progress(
        frame=int(_number(facts.get("frame")) or 0),
        out_time_s=(_number(facts.get("out_time_us")) or 0) / 1e6,
        fps=_number(facts.get("fps")) or 0.0,
        speed=_number(facts.get("speed")),
        marker=(facts.get("frame", ""), facts.get("out_time_us", ""), facts.get("total_size", "")),
    )


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").strip().rstrip("x"))
    except ValueError:  # "N/A" before there is anything to say
        return None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
