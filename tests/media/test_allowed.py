"""ffprobe names codecs, and the lists name decoders: each accepted decoder must be found by its codec's name."""

import re
import subprocess

from core.settings import MediaSettings
from media.allowed import AUDIO_DECODERS, VIDEO_DECODERS, accepts_codec
from media.tools import find_tools


def codecs_by_decoder() -> dict[str, set[str]]:
    """Ask ffmpeg which codecs each of its decoders is for."""
    asked = [str(find_tools(MediaSettings()).ffmpeg), "-hide_banner", "-codecs"]
    said = subprocess.run(asked, check=True, capture_output=True, text=True, timeout=60).stdout
    found: dict[str, set[str]] = {}
    for codec, rest in re.findall(r"^ D\S{5} (\S+)(.*)$", said, re.MULTILINE):
        named = re.search(r"\(decoders: ([^)]*)\)", rest)
        for decoder in named[1].split() if named else [codec]:
            found.setdefault(decoder, set()).add(codec)
    return found


def test_every_accepted_decoder_is_accepted_by_the_name_of_its_codec():
    codecs = codecs_by_decoder()
    refused = {
        codec
        for decoder in (*VIDEO_DECODERS, *AUDIO_DECODERS)
        for codec in codecs.get(decoder, ())
        if not accepts_codec(codec)
    }
    assert codecs["h264"] == {"h264"}
    assert not refused
