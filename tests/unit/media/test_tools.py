from pathlib import Path

import pytest

from core.errors import MissingDependency
from core.settings import MediaSettings
from media.tools import Tools, find_tools


@pytest.mark.parametrize(
    ("version", "expected"),
    [("n8.1.2", "demux"), ("5.1.9-0+deb12u1", "-1"), ("6.0", "-1"), ("7.1", "demux"), ("N-118000-gabc", "demux")],
)
def test_the_time_base_of_the_source_has_a_name_by_version(version, expected):
    assert Tools(Path("ffmpeg"), Path("ffprobe"), version).source_time_base == expected


def test_a_setting_that_names_no_program_says_how_to_mend_it(tmp_path):
    with pytest.raises(MissingDependency, match="DAILIES_MEDIA__FFMPEG"):
        find_tools(MediaSettings(ffmpeg=tmp_path / "nothing"))


def test_a_program_that_does_not_run_says_how_to_mend_it(tmp_path):
    broken = tmp_path / "ffmpeg"
    broken.write_text("not a program")
    broken.chmod(0o755)
    with pytest.raises(MissingDependency, match="does not run"):
        find_tools(MediaSettings(ffmpeg=broken, ffprobe=broken))
