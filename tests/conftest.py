"""What every test relies on: a scrubbed environment and settings read anew."""

import os

import pytest

from core.settings import get_settings


@pytest.fixture(autouse=True)
def _scrubbed_environment(monkeypatch: pytest.MonkeyPatch):
    """No setting of the person who runs the tests may change what they see."""
    for name in [name for name in os.environ if name.startswith(("DAILIES_", "PREFECT_"))]:
        monkeypatch.delenv(name)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()
