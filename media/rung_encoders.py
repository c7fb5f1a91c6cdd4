"""The encoders that a rung may be made with: their options, and whether one works on this machine.

Every one of them gives capped constant quality and closed GOPs that begin where they are told to, and nowhere else.
"""

import io
import signal
from functools import cache
from typing import Final

from core.errors import DailiesError, EncoderKilled, EncoderStalled, MissingDependency
from core.settings import MediaSettings, Preset, RungEncoder
from core.values import Rung
from media.boxes import top_boxes
from media.launcher import run_ffmpeg
from media.tools import Tools, find_tools
from media.transcode import video_args

#: The analysis proxy is made with it whatever makes the rungs.
PROXY_ENCODER: Final = "libx264"
#: x264's presets in the two other scales; SVT-AV1 itself warns of artifacts from its 10 on.
_SPEEDS: Final[dict[Preset, tuple[str, str]]] = {
    "ultrafast": ("9", "p1"),
    "superfast": ("9", "p1"),
    "veryfast": ("8", "p2"),
    "faster": ("7", "p3"),
    "fast": ("6", "p4"),
    "medium": ("5", "p5"),
    "slow": ("4", "p6"),
    "slower": ("3", "p7"),
    "veryslow": ("2", "p7"),
    "placebo": ("1", "p7"),
}
#: SVT-AV1 at this much more makes about as many bytes of real footage as x264.
_AV1_CRF_MORE: Final = 9
_AV1_CRF_MOST: Final = 63
#: Seconds that the trial encodes, between its keyframes, and to a cut within the second span, which earns none.
_TRIAL_S, _TRIAL_SPAN_S, _TRIAL_CUT_S = 0.6, 0.2, 0.32
_TRIAL_KEYFRAMES = 3
#: Bit depth, high and twelve, as flags of the third byte of an AV1 configuration record.
_HIGH_DEPTH, _TWELVE = 0x40, 0x20


def rung_args(rung: Rung, settings: MediaSettings) -> list[str]:
    """Build the encoder options of one rung: capped constant quality, keyframes only where they are forced."""
    cap = ["-maxrate", f"{rung.max_bitrate_kbps}k", "-bufsize", f"{2 * rung.max_bitrate_kbps}k"]
    match settings.encoder:
        case "libx264":
            options = ["-c:v", "libx264", "-preset", settings.preset, "-crf", str(rung.crf), *cap]
            # No keyframe of its own at a cut.
            return [*options, "-sc_threshold", "0", "-pix_fmt", "yuv420p", "-profile:v", "high"]
        case "h264_nvenc":
            _, nvenc_preset = _SPEEDS[settings.preset]
            options = ["-c:v", "h264_nvenc", "-preset", nvenc_preset, "-tune", "hq", "-rc", "vbr"]
            options += ["-cq", str(rung.crf), "-b:v", "0", *cap]
            # Forced keyframes would be plain I pictures, from which a player cannot begin.
            options += ["-forced-idr", "1", "-no-scenecut", "1"]
            return [*options, "-pix_fmt", "yuv420p", "-profile:v", "high"]
        case "libsvtav1":
            av1_preset, _ = _SPEEDS[settings.preset]
            crf = min(_AV1_CRF_MOST, rung.crf + _AV1_CRF_MORE)
            options = ["-c:v", "libsvtav1", "-preset", av1_preset, "-crf", str(crf), *cap]
            return [*options, "-svtav1-params", "scd=0", "-pix_fmt", "yuv420p"]


def require_encoder(settings: MediaSettings, tools: Tools | None = None) -> None:
    """Make sure that the encoders of the rungs and of the proxy work here; tried once per process.

    Raises:
        MissingDependency: ffmpeg lacks it, or it does not run on this machine (permanent).
        EncoderKilled, EncoderStalled: the machine is too busy to tell (transient).
    """
    found = tools or find_tools(settings)
    _try(PROXY_ENCODER, found)
    _try(settings.encoder, found)


@cache
def _try(encoder: RungEncoder, tools: Tools) -> None:
    mend = f"set DAILIES_MEDIA__FFMPEG to an ffmpeg with {encoder}"
    mend += "" if encoder == PROXY_ENCODER else ", or DAILIES_MEDIA__ENCODER to another encoder"
    if encoder not in tools.encoders:
        raise MissingDependency(f"{tools.ffmpeg} ({tools.version}) was built without {encoder}: {mend}")
    if encoder == PROXY_ENCODER:
        return
    # Being listed is not enough: that of a graphics card needs the card, its driver, and leave to use them.
    rung = Rung(name="trial", width=320, height=180, crf=30, max_bitrate_kbps=500)
    black, white = (
        f"color={colour}:s=320x180:r=25:d={length_s}"
        for colour, length_s in (("black", _TRIAL_CUT_S), ("white", _TRIAL_S - _TRIAL_CUT_S))
    )
    args = ["-v", "error", "-f", "lavfi", "-i", f"{black}[a];{white}[b];[a][b]concat"]
    args += [*video_args(tools, _TRIAL_SPAN_S), *rung_args(rung, MediaSettings(encoder=encoder))]
    try:
        # A fragment begins at each keyframe.
        made = run_ffmpeg(tools, [*args, "-movflags", "+frag_keyframe+empty_moov", "-f", "mp4", "pipe:1"]).stdout
        keyframes = sum(box.kind == "moof" for box in top_boxes(io.BytesIO(made)))
    except EncoderStalled:
        raise
    except DailiesError as error:
        # Ended from outside, by a machine that lacks memory for one, says nothing of the encoder.
        if isinstance(error, EncoderKilled) and error.signum in {None, signal.SIGKILL, signal.SIGTERM}:
            raise
        said = " ".join(str(error).splitlines())
        raise MissingDependency(f"{encoder} does not run on this machine ({said}): {mend}") from error
    if keyframes != _TRIAL_KEYFRAMES:
        raise MissingDependency(
            f"{encoder} of {tools.ffmpeg} ({tools.version}) made {keyframes} keyframes of {_TRIAL_KEYFRAMES}: players "
            f"could not switch between rungs; {mend} that sets them where it is told"
        )


def codec_string(record: bytes) -> str:
    """Name an AV1 codec as its ISO binding does, av01.P.LLT.DD, from the configuration record (av1C)."""
    profile, level = record[1] >> 5, record[1] & 0x1F
    tier = "H" if record[2] & 0x80 else "M"
    depth = (12 if record[2] & _TWELVE else 10) if record[2] & _HIGH_DEPTH else 8
    return f"av01.{profile}.{level:02d}{tier}.{depth:02d}"
