import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from core.errors import EncoderUnhealthy, MissingDependency
from core.settings import EncoderSettings
from encoders import catalog, health
from encoders.checkpoint import CheckpointEncoder
from encoders.checkpoint_files import read_checkpoint
from encoders.load import load
from encoders.processor import Preprocessing

CPU = torch.device("cpu")
TEXTS = ["a cat", "a cup of coffee", "rocket"]


def settings(folder, device="cpu"):
    return EncoderSettings(name=str(folder), device=device, canaries=False)


def photographs(height, width, count=3):
    # Smooth colour ramps with a little noise, as pictures have; pure noise is nothing an encoder sees.
    rng = np.random.default_rng(height * width)
    small = rng.integers(0, 255, (count, 9, 9, 3), np.uint8)
    large = [np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC)) for one in small]
    return np.clip(np.stack(large).astype(np.int16) + rng.integers(-8, 8, (count, height, width, 3)), 0, 255).astype(
        np.uint8
    )


@pytest.fixture(params=["clip", "siglip"])
def folder(request):
    return request.getfixturevalue(f"{request.param}_folder")


def test_vectors_are_those_of_the_network_itself(folder, device):
    encoder = load(settings(folder, device))
    frames = photographs(64, 48)
    network = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        reference = network.get_image_features(pixel_values=encoder.preprocess(frames).float().cpu()).pooler_output
    reference = torch.nn.functional.normalize(reference, dim=-1).numpy()
    rows = encoder.encode_frames(frames)
    assert (rows * reference).sum(axis=1).min() > 0.999  # bfloat16 where the CPU has it
    health.check_frames(encoder.spec, frames, rows)


def test_texts_land_in_the_same_space_and_do_not_lean_on_their_neighbours(folder, device):
    encoder = load(settings(folder, device))
    together = encoder.encode_texts(TEXTS)
    health.check_rows(encoder.spec, together)
    alone = np.concatenate([encoder.encode_texts([text]) for text in TEXTS])
    assert (alone * together).sum(axis=1).min() > 0.999


def test_a_text_longer_than_the_network_takes_is_cut(folder, device):
    assert load(settings(folder, device)).encode_texts(["a cat " * 200]).shape[0] == 1


def test_case_does_not_matter_to_siglip(siglip_folder):
    encoder = load(settings(siglip_folder))
    one, other = encoder.encode_texts(["A Cat", "a cat"])
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size", [(224, 398), (398, 224), (1080, 1920), (32, 32), (20, 50), (97, 61)])
@pytest.mark.parametrize("resample", [2, 3])
@pytest.mark.parametrize("crop", [32, 48])
def test_clip_preprocessing_is_the_reference_processors(size, resample, crop):
    config = {"size": {"shortest_edge": 32}, "crop_size": {"height": crop, "width": crop}, "resample": resample}
    _compare("clip", CLIPImageProcessorPil(**config), config, photographs(*size, count=2))


@pytest.mark.parametrize("size", [(224, 398), (398, 224), (20, 50)])
def test_siglip_preprocessing_is_the_reference_processors(size):
    config = {"size": {"height": 40, "width": 32}, "resample": 3}
    _compare("siglip", SiglipImageProcessorPil(**config), config, photographs(*size, count=2))


def test_steps_that_are_off_are_left_out_as_in_the_reference_processor():
    config = {"do_resize": False, "do_center_crop": False, "do_normalize": False}
    _compare("clip", CLIPImageProcessorPil(**config), config, photographs(30, 40, count=1))


def _compare(model_type, reference, config, frames):
    ours = Preprocessing.read(model_type, config).apply(frames, CPU, torch.float32).numpy()
    theirs = np.stack(reference([Image.fromarray(frame) for frame in frames])["pixel_values"])
    assert ours.shape == theirs.shape
    # Both round to bytes after resizing and may differ by one of them at a tie.
    one_level = 1 / 255 / np.min(reference.image_std) if reference.do_normalize else 1 / 255
    assert np.abs(ours - theirs).max() <= 1.01 * one_level
    assert np.abs(ours - theirs).mean() <= 0.02 * one_level


def test_a_space_is_named_without_importing_torch(folder):
    script = (
        "import sys; from core.settings import EncoderSettings; from encoders import catalog\n"
        f"spec = catalog.spec_for(EncoderSettings(name={str(folder)!r}))\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
        "print(spec.model_dump_json())"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout) == load(settings(folder)).spec.model_dump()


def test_the_same_folder_under_another_path_is_the_same_space(clip_folder, tmp_path):
    moved = shutil.copytree(clip_folder, tmp_path / clip_folder.name)
    assert catalog.spec_for(settings(moved)) == catalog.spec_for(settings(clip_folder))


def test_other_weights_or_another_preprocessing_are_another_space(clip_folder, save_clip, tmp_path):
    first = catalog.spec_for(settings(clip_folder))
    retrained = save_clip(tmp_path / clip_folder.name, seed=1)
    assert catalog.spec_for(settings(retrained)).revision != first.revision
    (retrained / "preprocessor_config.json").write_text('{"size": 32, "crop_size": 32, "resample": 2}')
    assert catalog.spec_for(settings(retrained)).preprocess != first.preprocess


def test_two_checkpoints_of_different_dimension_live_side_by_side(clip_folder, siglip_folder):
    small, large = load(settings(clip_folder)), load(settings(siglip_folder))
    assert (small.spec.dim, large.spec.dim) == (24, 32)
    assert load(settings(clip_folder)) is small


def test_an_untrained_network_fails_the_canaries(clip_folder):
    encoder = CheckpointEncoder(read_checkpoint(settings(clip_folder)), CPU, torch.float32)
    with pytest.raises(EncoderUnhealthy, match="does not find the picture of"):
        health.check_encoder(encoder)


def test_a_hub_checkpoint_needs_a_pinned_commit():
    for revision in (None, "main", "abc123"):
        with pytest.raises(MissingDependency, match="full commit"):
            catalog.spec_for(EncoderSettings(name="someone/some-clip", revision=revision))


def test_a_hub_that_does_not_answer_is_told_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(MissingDependency, match="set DAILIES_ENCODER__NAME to its folder"):
        catalog.spec_for(EncoderSettings(name="someone/some-clip", revision="0" * 40))


def test_a_folder_without_safetensors_is_refused(clip_folder, tmp_path):
    pickled = shutil.copytree(clip_folder, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(MissingDependency, match="can run code"):
        catalog.spec_for(settings(pickled))


def test_another_architecture_is_refused_by_name(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(MissingDependency, match="'bert', known are clip and siglip"):
        catalog.spec_for(settings(tmp_path))
