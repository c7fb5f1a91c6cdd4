"""The sound of a whole source, encoded once however many chunks its pictures are cut into."""

from pathlib import Path
from typing import Final

from core.errors import InvalidMedia
from core.settings import LimitSettings, MediaSettings
from core.values import MediaFacts
from media.boxes import is_fragmented
from media.complaints import is_about_channels
from media.filters import IN_STEP_S, audio_filter, begins_late
from media.hls import AUDIO
from media.launcher import run_ffmpeg
from media.timing import fragments_of
from media.tools import Tools
from media.transcode import audio_args, source_args
from media.validation import blames_input

AUDIO_NAME: Final = f"{AUDIO}.mp4"
#: Variable 0 of a packet (1024 samples): what is added since the clock went back by half a second, as a graph that is
#: built anew lets it where a second recording begins in the file.
_CARRIED: Final = r"st(0\,if(gt(N\,0)*lt(DTS\,PREV_INDTS-24000)\,PREV_OUTDTS+1024-DTS\,ld(0)))"
#: Whether it comes after all before it, and its time, or one before zero when it does not.
_IS_NEW: Final = r"(eq(N\,0)+gt(DTS+ld(0)\,PREV_OUTDTS+1000))"
_SETTS: Final = rf"setts=pts={{0}}if({_IS_NEW}\,PTS+ld(0)\,-1):dts={{0}}if({_IS_NEW}\,DTS+ld(0)\,PREV_OUTDTS)"


def encode_audio(
    source: Path, facts: MediaFacts, *, settings: MediaSettings, limits: LimitSettings, folder: Path, tools: Tools
) -> Path | None:
    """Encode the sound of the whole source once, as CMAF on the clock of the pictures; None where it has none.

    Sound that cannot be decoded gives None as well: the video is then indexed without it. Of channels that nobody says
    how to mix, the first two are taken.

    Raises:
        EncoderRejected: ffmpeg refused our arguments, or lacks something (permanent, our fault).
        EncoderKilled, EncoderStalled, ScratchFull: try again (transient).
    """
    if facts.audio_codec is None:
        return None
    # WMA's first packet gives nothing: sound would always be found late, and be encoded twice.
    late = begins_late(facts) or facts.audio_codec.startswith("wma")
    made = _encode(source, facts, settings, limits, folder, tools, late=late)
    # What no packet told while the file was probed is given the time of the pictures; and damaged sound begins later.
    if made is not None and not late and fragments_of(made)[0].start_s > IN_STEP_S:
        made = _encode(source, facts, settings, limits, folder, tools, late=True)
    return made


def _encode(
    source: Path,
    facts: MediaFacts,
    settings: MediaSettings,
    limits: LimitSettings,
    folder: Path,
    tools: Tools,
    *,
    late: bool,
) -> Path | None:
    for first_two in (False, True):
        args = _args(source, facts, settings, limits, tools, late=late, first_two=first_two)
        try:
            with blames_input():
                run_ffmpeg(tools, args, cwd=folder)
            break
        except InvalidMedia as verdict:
            if first_two or not is_about_channels(verdict.__cause__):
                return None
    target = folder / AUDIO_NAME
    return target if target.exists() and is_fragmented(target) else None


def _args(
    source: Path,
    facts: MediaFacts,
    settings: MediaSettings,
    limits: LimitSettings,
    tools: Tools,
    *,
    late: bool,
    first_two: bool,
) -> list[str]:
    args = source_args(source, limits, tools)
    args += ["-filter_complex", audio_filter(facts, late=late, first_two=first_two), "-map", "[a0]"]
    args += ["-vn", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1", *audio_args(settings)]
    # The first packet only warms the decoder up and lies before zero. Dropped, the track needs no edit list, which
    # older ffmpeg does not write here: sound would be 21 ms late.
    # So is silence that a graph built anew puts where sound was already: dated like the last packet, it is told from
    # others. Where there is none, a packet of the past is of another recording.
    setts = _SETTS.format("" if late else f"{_CARRIED};")
    args += ["-bsf:a", rf"{setts},noise=drop=lt(pts\,0)"]
    # frag_discont: the first fragment says when it begins; it need not be zero.
    args += ["-movflags", "+cmaf+empty_moov+default_base_moof+skip_trailer+frag_discont"]
    return [*args, "-frag_duration", str(settings.segment_s * 1_000_000), "-f", "mp4", AUDIO_NAME]
