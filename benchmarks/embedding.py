"""The embedding stage, from proxy to scene vectors, against the bare network on the very same frames.

`python -m benchmarks.embedding [--dtype float32]` builds a checkpoint of the shape of CLIP ViT-B/32 with random
weights, makes two proxies with the pipeline's own encoder options, one four times as long, and prints wall and CPU time as
ratios of one run, and the peak memory for either length. Stage and bare pass alternate, so that a busy machine
slows both.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from core.settings import EncoderSettings, MediaSettings
from core.values import Scene
from encoders.checkpoint import CheckpointEncoder
from encoders.checkpoint_files import read_checkpoint
from encoders.device import device_for, dtype_for
from encoders.scenes import embed
from media.telling import telling_frames
from media.tools import find_tools
from media.transcode import PROXY_KEYFRAMES_S, proxy_args, video_args

SCENE_S, SHORT, LONG = 5, 24, 96
ROUNDS = 5
MAY_COST, MAY_GROW = 1.10, 1.10


def checkpoint(folder: Path) -> Path:
    """A picture tower as in ViT-B/32; the text tower is never run and kept small."""
    from tokenizers import Tokenizer, models
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    CLIPModel(
        CLIPConfig(text_config={"num_hidden_layers": 1, "vocab_size": 100, "bos_token_id": 1, "eos_token_id": 2})
    ).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<unk>", unk_token="<unk>").save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text('{"size": 224, "crop_size": 224, "resample": 3}')
    return folder


def encoder_of(folder: Path, dtype: str | None) -> CheckpointEncoder:
    settings = EncoderSettings(name=str(folder), device="cpu")
    device = device_for(settings.device)
    return CheckpointEncoder(read_checkpoint(settings), device, getattr(torch, dtype) if dtype else dtype_for(device))


def proxy(path: Path, scenes: int) -> Path:
    """Moving, noisy pictures as the pipeline's proxies hold them: 398 x 224, 24 per second."""
    tools = find_tools(MediaSettings())
    film = f"testsrc2=size=398x224:rate=24:duration={scenes * SCENE_S},noise=alls=4:allf=t"
    keys = [*video_args(tools, PROXY_KEYFRAMES_S), "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    argv = [
        str(tools.ffmpeg),
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        film,
        *proxy_args(),
        *keys,
        str(path),
    ]
    subprocess.run(argv, check=True)
    return path


def stage(encoder: CheckpointEncoder, film: Path, scenes: int) -> NDArray[np.float32]:
    """What tasks.analysis.embed_scenes does between its copy of the proxy and its upload."""
    per_scene = EncoderSettings().frames_per_scene
    frames = telling_frames(film, scenes_of(scenes), per_scene, find_tools(MediaSettings()))
    return embed(encoder, frames, scenes)


def scenes_of(count: int) -> list[Scene]:
    return [Scene(index=i, start_s=i * SCENE_S, end_s=(i + 1) * SCENE_S) for i in range(count)]


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds, those of the media processes included."""
    start, before = time.perf_counter(), cpu()
    work()
    return time.perf_counter() - start, cpu() - before


def cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def speed(folder: Path, dtype: str | None) -> bool:
    encoder, film = encoder_of(folder / "vit", dtype), folder / "short.mp4"
    per_scene = EncoderSettings().frames_per_scene
    pictures = list(telling_frames(film, scenes_of(SHORT), per_scene, find_tools(MediaSettings())))
    inputs = [encoder.preprocess(part) for frames, _ in pictures for part in np.array_split(frames, len(frames) // 8)]

    @torch.inference_mode()
    def bare() -> None:
        for pixels in inputs:
            encoder._network.get_image_features(pixel_values=pixels)  # noqa: SLF001

    bare()
    stage(encoder, film, SHORT)
    rounds = [(seconds(bare), seconds(lambda: stage(encoder, film, SHORT))) for _ in range(ROUNDS)]
    count = sum(len(frames) for frames, _ in pictures)
    for one, other in rounds:
        print(f"  bare {one[0]:6.2f} s wall {one[1]:6.2f} s cpu   stage {other[0]:6.2f} s wall {other[1]:6.2f} s cpu")
    wall, work = (statistics.median(other[i] / one[i] for one, other in rounds) for i in (0, 1))
    best = min(one[0] for one, _ in rounds)
    print(f"{count} frames, {count / best:.0f} frames/s bare")
    print(f"stage / bare, median of {ROUNDS}: wall {wall:.3f} (may cost {MAY_COST}), cpu {work:.3f}")
    return wall <= MAY_COST


def peak_mib(folder: Path, dtype: str | None, name: str, scenes: int) -> float:
    """Peak resident memory of a fresh process that embeds one film."""
    extra = ["--dtype", dtype] if dtype else []
    argv = [sys.executable, "-m", "benchmarks.embedding", "--only", str(folder), name, str(scenes), *extra]
    return float(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="default: as the CPU's flags say")
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        folder, name, scenes = asked.only
        stage(encoder_of(Path(folder) / "vit", asked.dtype), Path(folder) / name, int(scenes))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        checkpoint(folder / "vit")
        proxy(folder / "short.mp4", SHORT)
        proxy(folder / "long.mp4", LONG)
        is_quick = speed(folder, asked.dtype)
        short, long = (
            peak_mib(folder, asked.dtype, name, count) for name, count in (("short.mp4", SHORT), ("long.mp4", LONG))
        )
    print(f"peak memory: {short:.0f} MiB for {SHORT * SCENE_S} s, {long:.0f} MiB for {LONG * SCENE_S} s of video")
    if not is_quick or long > MAY_GROW * short:
        sys.exit("FAILS")


if __name__ == "__main__":
    main()
