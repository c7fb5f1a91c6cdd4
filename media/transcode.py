"""Every rung and the analysis proxy from one decode of the source."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np

from core.errors import EncoderRejected, InvalidMedia
from core.settings import LimitSettings, MediaSettings
from core.values import MediaFacts, Rung, seconds
from media.allowed import file_arg, guard_args
from media.filters import audio_filter, video_graph
from media.ladder import proxy_size
from media.launcher import Completed, Progress, run_ffmpeg
from media.rung_encoders import require_encoder, rung_args
from media.timing import FrameTimes, frame_times
from media.tools import Tools
from media.validation import blames_input

PROXY_NAME: Final = "proxy.mp4"
AUDIO_RATE_HZ: Final = 48_000
#: Ticks per second of every video track we write: exact for 24, 25, 30, 50, 60 and 1000/1001 of them.
TIME_SCALE: Final = 90_000
#: Seconds by which the end of a decoded video may differ from what validation measured.
_SLACK_S: Final = Decimal(1)
#: A pause between two pictures is a gap from so many seconds, and so many pictures, on.
_GAP_S, _GAP_FRAMES = 0.5, 8
#: What ffmpeg says at its end, when it is asked to be verbose; "decode errors" is new in 6.1.
_SUMMARY: Final = re.compile(
    r"Input stream #0:(\d+) \(video\): (\d+) packets read \(\d+ bytes\); (\d+) frames decoded(?:; (\d+) decode errors)?"
)


@dataclass(frozen=True)
class TranscodeResult:
    """The files made from one source, all in the folder that was given."""

    frames: int
    #: Seconds from the first picture's beginning to the last one's end: what scenes must cover.
    duration_s: Decimal
    #: Playable files by the name of their rung.
    rungs: Mapping[str, Path] = field(default_factory=dict)
    proxy: Path | None = None
    #: What was not as good as it should be, in plain words.
    degraded: tuple[str, ...] = ()


def transcode(
    source: Path,
    facts: MediaFacts,
    rungs: Sequence[Rung],
    *,
    with_proxy: bool,
    settings: MediaSettings,
    limits: LimitSettings,
    folder: Path,
    tools: Tools,
    on_progress: Callable[[Progress], None] | None = None,
) -> TranscodeResult:
    """Make the wanted rungs, and the proxy, with one ffmpeg process; `folder` is the only place written.

    Raises:
        InvalidMedia: damaged or truncated beyond the error budget, or more frames than allowed (permanent).
        EncoderRejected: ffmpeg refused our arguments, or lacks something (permanent, our fault).
        EncoderKilled, EncoderStalled, ScratchFull: try again (transient).
    """
    if not rungs and not with_proxy:
        raise ValueError("nothing to make: no rung and no proxy")
    if rungs:
        require_encoder(settings, tools)

    def encode(facts: MediaFacts) -> Completed:
        args = transcode_args(
            source, facts, rungs, with_proxy=with_proxy, settings=settings, limits=limits, tools=tools
        )
        with blames_input():
            return run_ffmpeg(tools, args, cwd=folder, on_progress=on_frames(facts, limits, on_progress))

    done, remarks = _encode_or_mute(encode, facts)
    paths = {rung.name: folder / f"{rung.name}.mp4" for rung in rungs}
    proxy = folder / PROXY_NAME if with_proxy else None
    times = _times_of(proxy or next(iter(paths.values())))
    duration = seconds(times.duration)
    remarks += judge_losses(done, facts, times, limits)
    if facts.is_hdr and not tools.can_tone_map:
        remarks += ["The picture is HDR and this ffmpeg lacks zscale: colours look pale."]
    return TranscodeResult(len(times), duration, paths, proxy, tuple(remarks))


def transcode_args(
    source: Path,
    facts: MediaFacts,
    rungs: Sequence[Rung],
    *,
    with_proxy: bool,
    settings: MediaSettings,
    limits: LimitSettings,
    tools: Tools,
) -> list[str]:
    """Build the arguments of the one run; touches nothing."""
    sizes = [(rung.width, rung.height) for rung in rungs]
    sizes += [proxy_size(facts, settings.proxy_short_side)] if with_proxy else []
    graph = video_graph(facts, sizes, can_tone_map=tools.can_tone_map)
    has_sound = facts.audio_codec is not None and bool(rungs)
    graph += ";" + audio_filter(facts, copies=len(rungs)) if has_sound else ""
    args = [*source_args(source, limits, tools), "-filter_complex", graph]
    for index, rung in enumerate(rungs):
        args += ["-map", f"[v{index}]", *video_args(settings, tools), *rung_args(rung, settings)]
        if has_sound:
            args += ["-map", f"[a{index}]", *audio_args(settings)]
        # The index in front: a browser starts to play before it has everything.
        args += ["-movflags", "+faststart", *_mp4_args(), f"{rung.name}.mp4"]
    if with_proxy:
        args += ["-map", f"[v{len(rungs)}]", *video_args(settings, tools), *proxy_args()]
        args += ["-movflags", "+faststart", *_mp4_args(), PROXY_NAME]
    return args


def source_args(
    source: Path,
    limits: LimitSettings,
    tools: Tools,
    *,
    seek_s: Fraction | None = None,
    length_s: Fraction | None = None,
) -> list[str]:
    """Build the input side: an untrusted file, read under the allow-lists, on its own clock.

    Args:
        seek_s: where reading begins, or a little before it, in seconds since the file's first packet.
        length_s: seconds after which reading may end.
    """
    return [
        # verbose for the summary of packets and frames; repeat, or equal complaints are counted as one.
        "-loglevel", "repeat+verbose",
        *guard_args(limits),
        *(["-threads", str(tools.threads)] if tools.threads else []),
        *(["-ss", f"{float(seek_s):.6f}"] if seek_s is not None else []),
        *(["-t", f"{float(length_s):.6f}"] if length_s is not None else []),
        # Our filters shift the times themselves; ffmpeg alone would move by the earliest of all streams.
        "-copyts", "-i", file_arg(source),
    ]  # fmt: skip


def video_args(settings: MediaSettings, tools: Tools, keyframes: str | None = None) -> list[str]:
    """Build what every video output shares.

    Args:
        keyframes: times of the keyframes, separated by commas; None for one per segment from zero on.
    """
    return [
        "-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn",
        # Every picture once, at its own time: ffmpeg would otherwise drop and repeat to a constant rate.
        "-fps_mode", "passthrough",
        # Said outright, because what "the source's" means behind filters differs between versions of ffmpeg.
        "-enc_time_base", f"1:{TIME_SCALE}",
        # Keyframes at the same times in every rung, so that players can switch; none in between, which would
        # break the alignment, and closed GOPs, so that each segment decodes alone.
        "-force_key_frames", keyframes or f"expr:gte(t,n_forced*{settings.segment_s})",
        "-flags", "+cgop", "-g", str(settings.segment_s * 1000),
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


def judge_losses(done: Completed, facts: MediaFacts, times: FrameTimes, limits: LimitSettings) -> list[str]:
    """Hold what was decoded against what should have been; gives remarks within the error budget.

    Raises:
        InvalidMedia: damaged or truncated beyond it (permanent).
    """
    return judge(*count_losses(done), facts, times, limits)


def judge(lost: int, packets: int, facts: MediaFacts, times: FrameTimes, limits: LimitSettings) -> list[str]:
    """Hold the counted losses, the gaps and the length against the error budget; see judge_losses."""
    remarks = []
    duration_s = seconds(times.duration)
    if lost:
        # Where pictures are damaged, what is missing in between is a loss too; a gap alone may be meant so.
        gone = round(gaps_s(times, facts) * float(facts.frame_rate))
        lost, packets = lost + gone, packets + gone
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
    steps = np.diff(times.seconds)
    return float(steps[steps > max(_GAP_S, _GAP_FRAMES / float(facts.frame_rate))].sum())


def count_losses(done: Completed) -> tuple[int, int]:
    """Count damaged pictures or packets, and all packets.

    A packet may hold no picture at all, so the difference of the two numbers says nothing.
    """
    summary = _SUMMARY.search(done.stderr_tail)
    if not summary:
        return 0, done.progress.frame if done.progress else 0
    stream, packets, frames, errors = (int(group or 0) for group in summary.groups())
    if packets and not frames:
        raise InvalidMedia("damaged")
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


def _encode_or_mute(encode: Callable[[MediaFacts], Completed], facts: MediaFacts) -> tuple[Completed, list[str]]:
    """Encode; when ffmpeg blames the input, try once more without the sound, which may be what it means.

    Raises:
        InvalidMedia: the pictures are to blame (permanent).
        EncoderRejected: ffmpeg blames anything but its input: it is our fault (permanent).
    """
    try:
        return encode(facts), []
    except InvalidMedia as verdict:
        # Only a refusal may be the sound's fault: a verdict of the run itself stands.
        if facts.audio_codec is None or not isinstance(verdict.__cause__, EncoderRejected):
            raise
    done = encode(facts.model_copy(update={"audio_codec": None}))
    return done, ["The sound cannot be decoded: it was left out."]


def _times_of(path: Path) -> FrameTimes:
    try:
        return frame_times(path)
    except EncoderRejected as error:
        raise InvalidMedia("damaged", "Not one picture of the video can be decoded.") from error


def _mp4_args() -> list[str]:
    return ["-video_track_timescale", str(TIME_SCALE), "-f", "mp4"]
