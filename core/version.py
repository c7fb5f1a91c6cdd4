"""Which Dailies this process runs: every part shows it, so that old and new ones can be told apart during an upgrade."""

from importlib.metadata import version
from typing import Final

#: As pyproject.toml has it.
VERSION: Final = version("dailies")
