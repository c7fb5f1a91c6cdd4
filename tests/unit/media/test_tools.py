import pytest

from core.errors import EncoderKilled, MissingDependency
from core.settings import MediaSettings
from media.tools import find_tools


def test_a_setting_that_names_no_program_says_how_to_mend_it(tmp_path):
    with pytest.raises(MissingDependency, match="DAILIES_MEDIA__FFMPEG"):
        find_tools(MediaSettings(ffmpeg=tmp_path / "nothing"))


def test_a_program_that_does_not_run_says_how_to_mend_it(tmp_path):
    broken = tmp_path / "ffmpeg"
    broken.write_text("not a program")
    broken.chmod(0o755)
    with pytest.raises(MissingDependency, match="does not run"):
        find_tools(MediaSettings(ffmpeg=broken, ffprobe=broken))


@pytest.mark.parametrize(
    ("number", "error"), [("KILL", EncoderKilled), ("TERM", EncoderKilled), ("SEGV", MissingDependency)]
)
def test_a_program_that_is_ended_while_it_tells_its_version_is_asked_again(tmp_path, number, error):
    ended = tmp_path / "ffmpeg"
    ended.write_text(f"#!/bin/sh\nkill -{number} $$\n")
    ended.chmod(0o755)
    with pytest.raises(error):
        find_tools(MediaSettings(ffmpeg=ended, ffprobe=ended))
