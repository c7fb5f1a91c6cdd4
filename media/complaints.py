"""What ffmpeg says on standard error: whom it blames, and which of its lines are worth showing."""

import re
from typing import Final

from core.errors import EncoderRejected

_SHOWN_LINES: Final = 5
#: Blames our arguments, our settings or this machine; outweighs every complaint about the input.
_OURS: Final = re.compile(
    r"Unknown (?:en|de)coder|Error setting preset|Error (?:while )?opening (?:encoder|output)|Encoder not found"
    r"|No such filter|Option \S+ not found|Unrecognized option|Cannot allocate memory|Permission denied"
)
#: Nobody says where the channels of the sound belong: nine or more of them without a layout, for one.
_CHANNELS: Final = re.compile(r"Rematrix is needed|[Cc]hannel layout .* not supported")
#: Blames what is read; 8.x and 5.1 differ in their words.
_INPUTS: Final = re.compile(
    r"Invalid data found when processing input|Decode error rate|Cannot determine format of input"
    # Nothing came out of a stream, or its header does not say what should.
    r"|Could not open encoder before EOF|Error while opening decoder|Neither number of channels nor channel layout specified"
)
#: What ffmpeg reports when it is verbose, and what it says whatever happened.
_NOISE: Final = re.compile(
    r"Statistics: |^frame=|^video:|Terminating thread|(?:received|returned) EOF|finished$|Nothing was written"
    r"|\[Eval @|(?:^|\r)[01]\.000000$"
    r"|(?:In|Out)put (?:file|stream) #|  Total: |muxing overhead|second pass|Conversion failed!|Exiting with exit code"
    r"|\[libx264 @ \w+\] (?:frame|mb|coded|i\d|kb/s|ref|Weighted|8x8|consecutive|final|profile|using)|Qavg"
)
#: The part of ffmpeg that speaks, and where it lies in memory.
_SPEAKER: Final = re.compile(r"^(?:\[[^]]*\] )+")


def describe_end(sentence: str, stderr: str) -> str:
    """Write the message of a media process that ended badly.

    The first line is one sentence, the same for every process that ended for the same reason; the last lines of
    standard error follow it.
    """
    lines = [line.rstrip() for line in stderr.splitlines() if line.strip()]
    cause = next((line for line in lines if _OURS.search(line)), None)
    cause = cause or next((line for line in lines if _CHANNELS.search(line)), None)
    cause = cause or next((line for line in reversed(lines) if _INPUTS.search(line)), None)
    first = f"{sentence}: {_SPEAKER.sub('', cause)}" if cause else sentence
    telling = [line for line in lines if not _NOISE.search(line)] or lines
    return "\n".join((first.rstrip(".") + ".", *telling[-_SHOWN_LINES:]))


def is_inputs_fault(error: EncoderRejected) -> bool:
    """Whether ffmpeg refused what it read; what it says nothing clear about is our own fault."""
    first = str(error).partition("\n")[0]
    return bool(_INPUTS.search(first) or _CHANNELS.search(first))


def is_about_channels(error: BaseException | None) -> bool:
    """Whether ffmpeg did not know how to mix what it read."""
    return bool(_CHANNELS.search(str(error).partition("\n")[0]))
