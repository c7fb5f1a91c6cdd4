"""How a file ends: validated and transcoded as the flow does it, and decoded by a plain ffmpeg beside it."""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from core.errors import DailiesError, InvalidMedia
from core.settings import LimitSettings, MediaSettings
from media.allowed import DEMUXERS
from media.tools import Tools
from media.validation import inspect
from tests.media.conftest import make_all

#: One small rung, made fast: what is asked here is whether, not how well.
SETTINGS: Final = MediaSettings(ladder=(32,), preset="ultrafast", proxy_short_side=64, threads=2)
INDEXED, DEGRADED = "indexed", "indexed, degraded"
_PLAIN_TIMEOUT_S: Final = 60
#: Who speaks in a line of ffmpeg's: everybody but containers and the program itself may be a decoder.
_DECODER_SPEAKS: Final = re.compile(
    rb"^\[(?:h264|hevc|vp[89]|mpeg\w*|msmpeg4\w*|mjpeg|prores|cinepak|ffv1|flv1?|wmv\d"
    rb"|libvpx\S*|vist#|dec:)[^\]]*@?",
    re.MULTILINE,
)


_CORRUPT: Final = b"corrupt decoded frame"


@dataclass(frozen=True)
class Ending:
    """How one file ended."""

    #: A reason code, `indexed`, `indexed, degraded`, or the class of an error that is no verdict.
    verdict: str
    sentence: str
    frames: int
    wall_s: float
    #: Everything that was written for it, and the proxy alone.
    outputs: bytes
    proxy: bytes

    @property
    def is_proper(self) -> bool:
        """Whether the product knew what to say: a reason code, or indexed."""
        return self.verdict in {INDEXED, DEGRADED, *InvalidMedia.SENTENCES}

    @property
    def is_indexed(self) -> bool:
        return self.verdict in {INDEXED, DEGRADED}


def ending(path: Path, tools: Tools, limits: LimitSettings) -> Ending:
    """Validate and transcode a file; whatever is written is read and removed."""
    began = time.monotonic()
    with TemporaryDirectory(prefix="dailies-hostile-") as folder:
        frames, verdict, sentence, proxy = 0, "", "", b""
        try:
            facts = inspect(path, tools, limits)
            made = make_all(path, facts, SETTINGS, Path(folder), tools, limits)
            remarks = (*facts.degraded, *made.degraded)
            proxy = made.proxy.read_bytes()
            frames, verdict, sentence = made.frames, DEGRADED if remarks else INDEXED, " ".join(remarks)
        except InvalidMedia as error:
            verdict, sentence = error.reason, error.sentence
        except DailiesError as error:
            verdict, sentence = type(error).__name__, str(error)
        except Exception as error:  # noqa: BLE001 whatever it is, it is the finding
            verdict, sentence = f"bug: {type(error).__name__}", str(error)
        outputs = b"".join(p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file())
    return Ending(verdict, sentence, frames, time.monotonic() - began, outputs, proxy)


def plays_whole(path: Path, tools: Tools, limits: LimitSettings, frames: int) -> bool:
    """Whether a plain ffmpeg decodes this many pictures without a word from its decoder.

    It may open the containers that are accepted; a film that is beyond a limit by its own clock does not count.
    """
    command = [str(tools.ffmpeg), "-nostdin", "-hide_banner", "-v", "level+warning", "-threads", "2"]
    command += ["-format_whitelist", ",".join(DEMUXERS), "-i", str(path)]
    command += ["-map", "0:V:0", "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-f", "framecrc", "-"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PLAIN_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    times = sorted(int(line.split(b",")[2]) / 90_000 for line in done.stdout.splitlines() if not line.startswith(b"#"))
    # Of its warnings one counts: a picture that it shows and calls corrupt.
    said = (line for line in done.stderr.splitlines() if b"[error]" in line or b"[fatal]" in line or _CORRUPT in line)
    if done.returncode or len(times) != frames or any(map(_DECODER_SPEAKS.match, said)):
        return False
    span = times[-1] - times[0]
    return (
        span <= limits.max_duration.total_seconds()
        and path.stat().st_size >= limits.min_bytes_per_s * span
        and frames - 1 <= limits.max_frame_rate * span
    )


def count_frames(path: Path, tools: Tools) -> int:
    """Count the pictures of a good film with a plain ffmpeg."""
    command = [
        str(tools.ffmpeg),
        "-nostdin",
        "-v",
        "error",
        "-i",
        str(path),
        "-map",
        "0:V:0",
        "-fps_mode",
        "passthrough",
    ]
    done = subprocess.run([*command, "-f", "framecrc", "-"], capture_output=True, timeout=_PLAIN_TIMEOUT_S, check=True)
    return sum(not line.startswith(b"#") for line in done.stdout.splitlines())
