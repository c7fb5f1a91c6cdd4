"""What every encode shares: how a source is read, how rungs, proxy and sound are encoded, and what may be lost."""

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from core.errors import InvalidMedia
from core.settings import LimitSettings, MediaSettings
from core.values import MediaFacts, seconds
from media.allowed import file_arg, guard_args
from media.launcher import Completed, Progress
from media.timing import FrameTimes, gap_s
from media.tools import Tools

#: Stands for the proxy where rungs are named.
PROXY: Final = "proxy"
AUDIO_RATE_HZ: Final = 48_000
#: Seconds between keyframes of the proxy: embedding needs nothing in between, which is most of what decoding costs
#: (benchmarks/embedding.py). It has an eighth more bytes than with one every 2 s.
PROXY_KEYFRAMES_S: Final = 0.5
#: Ticks per second of every video track we write: exact for 24, 25, 30, 50, 60 and 1000/1001 of them.
TIME_SCALE: Final = 90_000
#: Seconds by which the end of a decoded video may differ from what validation measured.
_SLACK_S: Final = Decimal(1)
#: What ffmpeg says at its end, when it is asked to be verbose; "decode errors" is new in 6.1.
_SUMMARY: Final = re.compile(
    r"Input stream #0:(\d+) \(video\): (\d+) packets read \(\d+ bytes\); (\d+) frames decoded(?:; (\d+) decode errors)?"
)


def source_args(
    source: Path,
    limits: LimitSettings,
    tools: Tools,
    *,
    seek_s: Fraction | None = None,
) -> list[str]:
    """Build the input side: an untrusted file, read under the allow-lists, on its own clock.

    Args:
        seek_s: where reading begins, or a little before it, on the source's own clock; None for its beginning.
    """
    return [
        # verbose for the summary of packets and frames; repeat, or equal complaints are counted as one.
        "-loglevel", "repeat+verbose",
        *guard_args(limits),
        *(["-threads", str(tools.threads)] if tools.threads else []),
        # Pictures need not begin with the file; and what is read too early is for filters to leave out.
        *(["-seek_timestamp", "1", "-noaccurate_seek", "-ss", f"{float(seek_s):.6f}"] if seek_s is not None else []),
        # Our filters shift the times themselves; ffmpeg alone would move by the earliest of all streams.
        "-copyts", "-i", file_arg(source),
    ]  # fmt: skip


def video_args(tools: Tools, keyframes_s: float) -> list[str]:
    """Build what every video output shares.

    Args:
        keyframes_s: seconds between keyframes; there are none in between.
    """
    # One at the first picture of each span; times on the video's own clock, so every chunk has the same ones.
    keyframes = f"expr:isnan(prev_forced_t)+gt(floor(t/{keyframes_s}),floor(prev_forced_t/{keyframes_s}))"
    return [
        "-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn",
        # Every picture once, at its own time: ffmpeg would otherwise drop and repeat to a constant rate.
        "-fps_mode", "passthrough",
        # Said outright, because what "the source's" means behind filters differs between versions of ffmpeg.
        "-enc_time_base", f"1:{TIME_SCALE}",
        # Keyframes at the same times in every rung, so that players can switch; none in between, which would
        # break the alignment, and closed GOPs, so that each segment decodes alone.
        "-force_key_frames", keyframes,
        "-flags", "+cgop", "-g", str(round(keyframes_s * 1000)),
        *(["-threads", str(tools.threads)] if tools.threads else []),
    ]  # fmt: skip


def proxy_args() -> list[str]:
    """Build the encoder options of the proxy: cheap to make and cheap to decode; never shown to people."""
    # No B-frames: decoding order is showing order.
    options = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "fastdecode", "-bf", "0", "-crf", "23"]
    return [*options, "-sc_threshold", "0", "-an"]


def audio_args(settings: MediaSettings) -> list[str]:
    """Build the encoder options of sound: what every browser plays."""
    return ["-c:a", "aac", "-b:a", f"{settings.audio_bitrate_kbps}k", "-ac", "2", "-ar", str(AUDIO_RATE_HZ)]


def judge(lost: int, packets: int, facts: MediaFacts, times: FrameTimes, limits: LimitSettings) -> list[str]:
    """Hold what was decoded of the whole video against what should have been; gives remarks within the error budget.

    Raises:
        InvalidMedia: damaged or truncated beyond it (permanent).
    """
    remarks = []
    duration_s = seconds(times.duration)
    if lost:
        # Where pictures are damaged, a gap is the same loss seen again, or a larger one; alone it may be meant so.
        gone = round(gaps_s(times, facts) * float(facts.frame_rate))
        lost = max(lost, gone)
        packets = max(packets, len(times) + lost)
    if lost > limits.error_budget * packets and lost > 1:
        raise InvalidMedia("damaged", f"{lost} of {packets} pictures cannot be decoded.")
    if lost:
        remarks.append(f"{lost} of {packets} pictures are damaged.")
    missing = facts.duration_s - duration_s
    if facts.is_cuttable and missing > _SLACK_S:
        if missing > Decimal(str(limits.error_budget)) * facts.duration_s + _SLACK_S:
            raise InvalidMedia("truncated", f"Only {duration_s:.1f} of {facts.duration_s:.1f} seconds can be decoded.")
        remarks.append(f"{missing:.1f} seconds of the video cannot be decoded.")
    return remarks


def gaps_s(times: FrameTimes, facts: MediaFacts) -> float:
    """Sum up the seconds in which many pictures in a row are missing."""
    steps, usual = np.diff(times.seconds), 1 / float(facts.frame_rate)
    return float((steps[steps > gap_s(facts.frame_rate)] - usual).sum())


def count_losses(done: Completed) -> tuple[int, int]:
    """Count damaged pictures or packets, and all packets.

    A packet may hold no picture at all, so the difference of the two numbers says nothing.
    """
    summary = _SUMMARY.search(done.stderr_tail)
    if not summary:
        return 0, done.progress.frame if done.progress else 0
    stream, packets, frames, errors = (int(group or 0) for group in summary.groups())
    if packets and not frames:
        return packets, packets
    return max(errors, done.damage.get(stream, 0)), packets


def on_frames(
    facts: MediaFacts, limits: LimitSettings, on_progress: Callable[[Progress], None] | None
) -> Callable[[Progress], None]:
    """Watch the number of frames, and report progress with times that are reckoned from them."""
    rate = float(facts.frame_rate)

    def watch(progress: Progress) -> None:
        if progress.frame > limits.max_frames:
            raise InvalidMedia("too_many_frames")
        if on_progress is not None:
            # On the source's own clock ffmpeg reports no time.
            speed = progress.fps / rate if progress.fps else None
            on_progress(replace(progress, out_time_s=progress.frame / rate, speed=speed))

    return watch
