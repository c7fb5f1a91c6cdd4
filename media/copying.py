"""A copy of a source without the streams that ffprobe stumbles over; nothing is decoded.

ffprobe gives up on the first stream that it cannot open. Sound, subtitles or data that are broken, or in a codec off the
list, would then cost a video whose pictures are whole.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from core.errors import EncoderRejected, ScratchFull
from core.settings import LimitSettings
from media.allowed import file_arg, guard_args
from media.launcher import run_ffmpeg
from media.tools import Tools

#: What to copy, the number of its sound in the source, and the remark on what was left out; the first that can be opened
#: is taken. Nothing but pictures and one sound is ever used.
CHOICES: Final = (
    (("0:V:0", "0:a:0?"), 0, ()),
    (("0:V:0", "0:a:1"), 1, ()),
    (("0:V:0",), 0, ("The sound cannot be decoded, or is in a codec that is not accepted: it was left out.",)),
)
#: Ours, as every name in an argument list.
_NAME: Final = "copy"
#: Muxers whose demuxer has another name.
_MUXERS: Final = {"mpeg": "vob"}
#: Bytes that a copy may be larger than its source. One that grows more has packets in several places at once.
_SLACK_BYTES: Final = 1 << 20


@contextmanager
def copied(
    path: Path, container: str, streams: Sequence[str], tools: Tools, limits: LimitSettings
) -> Iterator[Path | None]:
    """Give a copy that holds these streams alone, beside the source while it is looked at; None where there is none.

    Args:
        container: the demuxer's name, as media.sniff gives it; the copy is of the same kind, so it keeps the same clock.
        streams: ffmpeg's names of them, as in `0:V:0`.
    Raises:
        EncoderKilled, EncoderStalled, ScratchFull: try again (transient).
    """
    most_bytes = path.stat().st_size + _SLACK_BYTES
    if shutil.disk_usage(path.parent).free < most_bytes:
        raise ScratchFull
    with TemporaryDirectory(prefix="copy-", dir=path.parent) as folder:
        # copyts: what is found out about the copy's times is used on the source's.
        args = ["-v", "error", *guard_args(limits), "-copyts", "-i", file_arg(path)]
        args += [word for stream in streams for word in ("-map", stream)]
        args += ["-c", "copy", "-map_metadata", "-1", "-map_chapters", "-1", "-avoid_negative_ts", "disabled"]
        args += ["-muxdelay", "0", "-muxpreload", "0", "-fs", str(most_bytes)]
        args += ["-f", _MUXERS.get(container, container), _NAME]
        try:
            run_ffmpeg(tools, args, cwd=Path(folder))
        except EncoderRejected:
            copy = None
        else:
            copy = Path(folder) / _NAME
        yield copy
