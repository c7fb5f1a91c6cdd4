"""Tiny, randomly initialised checkpoints in the layout of the real ones."""

import json

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast, SiglipConfig, SiglipModel

WORDS = ["<pad>", "<bos>", "<eos>", "<unk>", "a", "cat", "cup", "of", "coffee", "rocket", "camera"]
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def save_clip(folder, *, dim=24, seed=0):
    torch.manual_seed(seed)
    text = TOWER | {"vocab_size": len(WORDS), "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2}
    vision = TOWER | {"image_size": 32, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=dim)).save_pretrained(folder)
    _save_tokenizer(folder)
    # As the first CLIP checkpoints wrote it: sizes are plain numbers.
    _write(folder, "preprocessor_config.json", {"size": 32, "crop_size": 32, "resample": 3, "do_center_crop": True})
    return folder


def save_siglip(folder, *, seed=0):
    torch.manual_seed(seed)
    text = TOWER | {"vocab_size": len(WORDS), "max_position_embeddings": 12, "projection_size": 32}
    vision = TOWER | {"image_size": 32, "patch_size": 8}
    SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    _save_tokenizer(folder)
    # As newer checkpoints write it: inside the whole processor's config.
    pictures = {"size": {"height": 32, "width": 32}, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    _write(folder, "processor_config.json", {"image_processor": pictures})
    return folder


def _save_tokenizer(folder):
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)


def _write(folder, name, content):
    (folder / name).write_text(json.dumps(content))
