"""Pictures whose size, shape or place changes on the way, or is told outside of the header: shown whole, upright, in shape."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from core.settings import MediaSettings
from media.validation import inspect
from tests.media.conftest import H264, make_all

SETTINGS = MediaSettings(ladder=(180, 64), preset="ultrafast", proxy_short_side=64, threads=2)
VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")
RATE = 12


@pytest.fixture
def become(tmp_path, tools, limits):
    """Validate and transcode a source; what was said of it, and what was made."""

    def become(source: Path, settings: MediaSettings = SETTINGS):
        facts = inspect(source, tools, limits)
        return facts, make_all(source, facts, settings, tmp_path, tools, limits)

    return become


def film(size: str, length_s: int = 1, colour: str = "white") -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"color={colour}:s={size}:r={RATE}:d={length_s}")


@pytest.fixture
def joined(make, tmp_path):
    """Put films of the same codec behind one another into one file, without encoding."""

    def joined(name: str, *films: Path, more: tuple[str, ...] = ()) -> Path:
        script = tmp_path / "films.txt"
        script.write_text("".join(f"file '{film}'\n" for film in films))
        return make(name, "-f", "concat", "-safe", "0", "-i", str(script), "-c", "copy", *more)

    return joined


def test_a_recording_that_begins_small_has_the_rungs_of_what_it_grows_to(make, joined, become):
    """As browsers record a call: the first second is sent small."""
    small, large = (make(f"{size}.webm", *film(size), *VP8) for size in ("64x36", "320x180"))
    facts, made = become(joined("grown.webm", small, large, more=("-live", "1")))
    assert (facts.width, facts.height) == (320, 180)
    assert list(made.rungs) == ["180p", "64p"]
    assert made.frames == 2 * RATE


def test_a_recording_that_shrinks_keeps_the_size_it_began_with(make, joined, become):
    small, large = (make(f"{size}.webm", *film(size), *VP8) for size in ("64x36", "320x180"))
    facts, _ = become(joined("shrunk.webm", large, small))
    assert (facts.width, facts.height) == (320, 180)
