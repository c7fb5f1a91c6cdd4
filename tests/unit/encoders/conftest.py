"""Tiny checkpoints on disk, made once."""

import pytest
import torch

from tests.tiny_checkpoints import save_clip as _save_clip
from tests.tiny_checkpoints import save_siglip

_IS_HERE = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}


@pytest.fixture(scope="session", params=[name for name, is_here in _IS_HERE.items() if is_here])
def device(request):
    """Every device of this machine."""
    return request.param


@pytest.fixture(scope="session")
def save_clip():
    return _save_clip


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    return _save_clip(tmp_path_factory.mktemp("checkpoints") / "tiny-clip")


@pytest.fixture(scope="session")
def siglip_folder(tmp_path_factory):
    return save_siglip(tmp_path_factory.mktemp("checkpoints") / "tiny-siglip")
