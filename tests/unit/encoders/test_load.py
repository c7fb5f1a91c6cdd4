"""The resident encoders of a process: which one is given, and who waits for whom."""

import shutil
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import torch
import transformers

from core.errors import AcceleratorBusy, MissingDependency
from core.settings import EncoderSettings
from encoders.catalog import spec_for
from encoders.load import load, loaded, yardstick

TEXTS = ["a cat", "a cup of coffee"]
#: Of a test that hangs.
PATIENCE_S = 60


def settings(folder: Path) -> EncoderSettings:
    return EncoderSettings(name=str(folder), device="cpu", canaries=False)


def test_a_folder_that_was_replaced_is_another_encoder_under_the_same_name(
    clip_folder: Path, save_clip, tmp_path: Path
):
    folder = shutil.copytree(clip_folder, tmp_path / "model")
    older, texts = load(settings(folder)), load(settings(folder)).encode_texts(TEXTS)
    measure = yardstick(settings(folder))
    shutil.rmtree(folder)
    save_clip(folder, seed=1)
    newer = load(settings(folder), spec_for(settings(folder)))
    assert newer.spec != older.spec
    assert not np.allclose(newer.encode_texts(TEXTS), texts, atol=1e-2)
    assert yardstick(settings(folder)) is not measure
    with pytest.raises(MissingDependency, match="was replaced"):
        load(settings(folder), older.spec)


def test_two_names_of_one_content_share_the_encoder(clip_folder: Path):
    encoder = load(settings(clip_folder))
    count = len(loaded())
    assert load(settings(clip_folder).model_copy(update={"revision": "whatever", "frames_per_scene": 9})) is encoder
    assert len(loaded()) == count


def test_nobody_waits_for_the_load_of_an_encoder_he_did_not_ask_for(
    clip_folder: Path, save_clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    slow = save_clip(tmp_path / "slow", seed=2)
    is_loading, may_go_on = Event(), Event()
    real = transformers.AutoTokenizer.from_pretrained

    def from_pretrained(source: str, **options: object):
        if source == str(slow):
            is_loading.set()
            assert may_go_on.wait(PATIENCE_S)
        return real(source, **options)

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", from_pretrained)
    here, given = load(settings(clip_folder)), []
    loader = Thread(target=lambda: given.append(load(settings(slow))))
    second = Thread(target=lambda: given.append(load(settings(slow))))
    loader.start()
    assert is_loading.wait(PATIENCE_S)
    second.start()
    asker = Thread(target=lambda: given.append(load(settings(clip_folder))))
    asker.start()
    asker.join(PATIENCE_S)
    assert given == [here]
    may_go_on.set()
    for thread in (loader, second):
        thread.join(PATIENCE_S)
    assert given[1] is given[2]
    assert loaded().count(str(slow)) == 1


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling")]
)
def test_no_memory_for_the_weights_is_a_busy_accelerator(
    save_clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    folder = save_clip(tmp_path / "large", seed=len(str(error)))

    def from_pretrained(*_given: object, **_options: object) -> None:
        raise error

    with monkeypatch.context() as full:
        full.setattr(transformers.AutoModel, "from_pretrained", from_pretrained)
        with pytest.raises(AcceleratorBusy, match="DAILIES_ENCODER__DEVICE"):
            load(settings(folder))
    assert load(settings(folder)).spec == spec_for(settings(folder))
