"""Tiny checkpoints on disk, made once."""

import pytest

from tests.tiny_checkpoints import save_clip as _save_clip
from tests.tiny_checkpoints import save_siglip


@pytest.fixture(scope="session")
def save_clip():
    return _save_clip


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    return _save_clip(tmp_path_factory.mktemp("checkpoints") / "tiny-clip")


@pytest.fixture(scope="session")
def siglip_folder(tmp_path_factory):
    return save_siglip(tmp_path_factory.mktemp("checkpoints") / "tiny-siglip")
