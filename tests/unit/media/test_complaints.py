"""Who is to blame for the end of a media process, in the words of ffmpeg 5.1 and 8.1."""

import pytest

from core.errors import EncoderRejected
from media.complaints import describe_end, is_inputs_fault

DAMAGE = """\
Error while decoding stream #0:0: Invalid data found when processing input
Cannot determine format of input stream 0:0 after EOF
Error marking filters as finished
Conversion failed!
"""


def ended(stderr: str) -> EncoderRejected:
    return EncoderRejected(describe_end("ffmpeg ended with status 1", stderr))


@pytest.mark.parametrize(
    "stderr",
    [
        DAMAGE,
        "[vist#0:0/h264 @ 0x7fe7] [dec:h264 @ 0x7fe8] Decode error rate 1 exceeds maximum 0.666667\n",
        "[in#0 @ 0x7f96] Error opening input: Invalid data found when processing input\n",
        "[aist#0:1/aac @ 0x7f71] [dec:aac @ 0x7f72] Error while opening decoder: Operation not permitted\n",
        "Error while opening decoder for input stream #0:1 : Operation not permitted\n",
    ],
)
def test_what_cannot_be_decoded_is_the_inputs_fault(stderr: str) -> None:
    assert is_inputs_fault(ended(stderr))


@pytest.mark.parametrize(
    "stderr",
    [
        "",
        "Something that nobody has read before\n",
        "[vost#0:0 @ 0x7fd5] Unknown encoder 'libx264'\n",
        DAMAGE + "[libx264 @ 0x55] Error setting preset/tune sluggish/(null).\n",
        DAMAGE + "[AVFilterGraph @ 0x55] No such filter: 'zscale'\n",
        "Error while opening encoder for output stream #0:0 - maybe incorrect parameters\n" + DAMAGE,
    ],
)
def test_what_is_ours_or_unknown_is_not_the_inputs_fault(stderr: str) -> None:
    assert not is_inputs_fault(ended(stderr))


def test_the_first_line_is_a_sentence_without_addresses_and_the_last_lines_that_tell_something_follow() -> None:
    said = "".join(f"line {n}\n" for n in range(9)) + "[vost#0:0 @ 0x7fd5] Unknown encoder 'libx264'\n"
    noise = "[AVIOContext @ 0x7fd5] Statistics: 32768 bytes read, 0 seeks\n\nExiting with exit code -1129203192\n"
    first, *rest = str(ended(said + noise)).splitlines()
    assert first == "ffmpeg ended with status 1: Unknown encoder 'libx264'."
    assert rest == ["line 5", "line 6", "line 7", "line 8", "[vost#0:0 @ 0x7fd5] Unknown encoder 'libx264'"]


def test_silence_gives_the_sentence_alone() -> None:
    assert str(ended("")) == "ffmpeg ended with status 1."
