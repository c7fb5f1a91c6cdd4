"""The settings come first."""

from core.cores import usable_cores
from core.settings import MediaSettings
from media.cores import cores_for


def test_the_setting_says_what_no_quota_says():
    assert cores_for(MediaSettings(cores=7)) == 7
    assert cores_for(MediaSettings()) == usable_cores()
