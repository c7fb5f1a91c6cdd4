"""How many processors media may use."""

from core.cores import usable_cores
from core.settings import MediaSettings


def cores_for(settings: MediaSettings) -> int:
    """Give the cores that the settings name, or those that this process may use."""
    return settings.cores or usable_cores()
