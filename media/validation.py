"""The verdict on an uploaded file: what it is, or why it cannot be indexed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from signal import Signals
from typing import Final

from core.errors import EncoderKilled, EncoderRejected, EncoderStalled, InvalidMedia
from core.settings import LimitSettings
from core.values import MediaFacts, seconds
from media import probe
from media.allowed import accepts_codec
from media.complaints import is_inputs_fault
from media.copying import CHOICES, copied
from media.ends import is_read_through, with_head, with_tail
from media.gops import long_gops
from media.limits import check_length, undecodable, within_limits
from media.losses import after_loss
from media.measuring import SCANNED, measured
from media.sniff import sniff
from media.tools import Tools

#: Signals by which a program dies of its own fault, so of its input.
_CRASHES: Final = frozenset({Signals.SIGSEGV, Signals.SIGABRT, Signals.SIGBUS, Signals.SIGFPE, Signals.SIGILL})
_PLAYLIST_DEMUXERS: Final = frozenset(
    {"hls", "concat", "dash", "sdp", "imf", "webm_dash_manifest", "rtsp", "image2", "tedcaptions"}
)
#: Refusals that a stream beside the pictures may have caused.
_MAY_LIE_BESIDE: Final = frozenset({"damaged", "unsupported_codec"})
#: Codecs of television, whose pictures may be fields.
_WOVEN: Final = frozenset({"mpeg2video", "h264", "vc1"})
_FALLBACK_RATE: Final = Fraction(25)


def inspect(path: Path, tools: Tools, limits: LimitSettings) -> MediaFacts:
    """Judge a file by sniffing, probing, its limits and the decode of its first and last seconds.

    Raises:
        InvalidMedia: it cannot be indexed; `reason` says why (permanent).
        EncoderKilled, EncoderStalled: the probe was ended from outside, or had to be (transient).
    """
    judge_size(path.stat().st_size, limits)
    container = sniff(path)
    with blames_input(), _refusals_are_damage():
        try:
            header = _header(path, tools, limits, container)
        except InvalidMedia as refusal:
            facts = _facts_of_copy(path, tools, limits, container) if refusal.reason in _MAY_LIE_BESIDE else None
            if facts is None:
                raise
            return facts
        return _judge(path, tools, limits, header)


def _facts_of_copy(path: Path, tools: Tools, limits: LimitSettings, container: str | None) -> MediaFacts | None:
    """Judge the pictures without the streams beside them; None where that does not help."""
    if container is None:
        return None
    for streams, number, remarks in CHOICES:
        with copied(path, container, streams, tools, limits) as copy:
            try:
                header = None if copy is None else _header(copy, tools, limits, container)
            except InvalidMedia:
                continue
            if copy is not None and header is not None:
                facts = _judge(copy, tools, limits, header)
                return facts.model_copy(update={"audio_number": number, "degraded": (*remarks, *facts.degraded)})
    return None


def _judge(path: Path, tools: Tools, limits: LimitSettings, header: probe.Header) -> MediaFacts:
    said = header
    video, header = within_limits(said, path, tools, limits)
    header, remark = after_loss(said, header, path, tools, limits)
    facts = _facts(header, video, limits)
    if remark is not None:
        kept = {"degraded": (*facts.degraded, remark), "duration_s": seconds(header.duration_s or Fraction(0))}
        facts = facts.model_copy(update=kept)
    facts = _with_ends(facts, header, path, tools, limits)
    # A header may also promise too little.
    if not header.is_measured and Fraction(facts.duration_s) > limits.max_duration.total_seconds():
        header = measured(header, path, tools, limits)
        if header.clock_leaps:
            facts = _with_ends(_facts(header, header.video or video, limits), header, path, tools, limits)
    check_length(Fraction(facts.duration_s), path, limits)
    return facts


def _with_ends(facts: MediaFacts, header: probe.Header, path: Path, tools: Tools, limits: LimitSettings) -> MediaFacts:
    facts, decoded_s = with_head(facts, header, path, tools, limits)
    facts = with_tail(facts, decoded_s, header, path, tools, limits)
    if is_read_through(header, path):
        return facts
    # A damaged index is no reason to refuse a video: its chunks then begin where they would have begun.
    with suppress(InvalidMedia, EncoderRejected, EncoderStalled), blames_input():
        return facts.model_copy(update={"long_gops": long_gops(facts, path, tools, limits)})
    return facts


def judge_size(size_bytes: int, limits: LimitSettings) -> None:
    """Judge a file by its size alone, which the store tells before anything is fetched.

    Raises:
        InvalidMedia: too large, or empty (permanent).
    """
    if size_bytes == 0:
        raise InvalidMedia("empty")
    if size_bytes > limits.max_bytes:
        raise InvalidMedia("too_large")


@contextmanager
def blames_input() -> Iterator[None]:
    """Turn the end of a media process by its input's fault into a verdict.

    A stall is no verdict, because a slow disk or a starved machine looks the same; nor is a refusal of which
    ffmpeg does not clearly say that the input is to blame, because our settings may be.
    """
    try:
        yield
    except EncoderKilled as error:
        if error.signum not in _CRASHES:
            raise
        raise InvalidMedia("damaged", "The video is so damaged that its decoder breaks down.") from error
    except EncoderRejected as error:
        if not is_inputs_fault(error):
            raise
        raise InvalidMedia("damaged") from error


@contextmanager
def _refusals_are_damage() -> Iterator[None]:
    """Turn the refusal of a media program, which has shown that it runs, into a verdict on its input."""
    try:
        yield
    except EncoderRejected as error:
        raise InvalidMedia("damaged") from error


def _header(path: Path, tools: Tools, limits: LimitSettings, container: str | None) -> probe.Header:
    try:
        header = probe.read_header(path, tools, limits)
        complaints = header.complaints
    except EncoderRejected as error:
        header, complaints = None, str(error)
    # Fonts that are too many are left out, and nobody misses them; they are the last streams.
    has_fonts = header is not None and any(s.kind == "attachment" for s in header.streams)
    if "max_streams" in complaints and not has_fonts:
        raise InvalidMedia("too_many_streams")
    if header is not None and header.container and header.streams:
        return header
    refused = re.search(r"\[([\w,]+) @ \w+\] Format not on whitelist", complaints)
    if refused:
        names = set(refused[1].split(","))
        raise InvalidMedia("playlist_not_allowed" if names & _PLAYLIST_DEMUXERS else "unsupported_container")
    codec = re.search(r"Codec \((\w+)\) not on whitelist", complaints)
    if codec:
        raise InvalidMedia("unsupported_codec", f"The file holds a stream in {codec[1]}, which is not accepted.")
    if container is None:
        raise InvalidMedia("not_media")
    if "moov atom not found" in complaints:
        raise InvalidMedia("truncated", "The file ends before its index: the upload or the recording was cut off.")
    raise undecodable(complaints, "The file begins like a video, but its structure cannot be read.")


def _facts(header: probe.Header, video: probe.Stream, limits: LimitSettings) -> MediaFacts:
    width, height = probe.shown_size(video, limits.max_width)
    audio = _heard(header, video)
    degraded = []
    if audio is not None and not accepts_codec(audio.codec):
        degraded.append(f"The sound is encoded with {audio.codec}, which is not accepted: it was left out.")
        audio = None
    return MediaFacts(
        container=header.container,
        duration_s=seconds(video.duration_s or header.duration_s or Fraction(0)),
        width=width,
        height=height,
        frame_rate=video.frame_rate or _FALLBACK_RATE,
        video_codec=video.codec,
        audio_codec=audio.codec if audio else None,
        audio_number=header.audio.index(audio) if audio else 0,
        sound_start_s=None if audio is None or audio.start_s is None else seconds(audio.start_s),
        rotation=video.rotation,
        # Recorded off the air, a programme may begin with pictures and go on in fields. Asking costs nothing.
        is_interlaced=video.is_interlaced or (header.container in SCANNED and video.codec in _WOVEN),
        is_hdr=video.is_hdr,
        colours=video.colours,
        is_cuttable=header.start_s is not None,
        degraded=tuple(degraded),
    )


def _heard(header: probe.Header, video: probe.Stream) -> probe.Stream | None:
    """Choose the sound: the first that is accepted, of the programme that the pictures belong to where there are any."""
    beside = next((programme for programme in header.programmes if video.index in programme), None)
    own = [s for s in header.audio if beside is None or s.index in beside] or list(header.audio)
    return next((s for s in own if accepts_codec(s.codec)), own[0] if own else None)
