"""What a media process may do, and which layers of that this machine's kernel keeps."""

import json
import logging
import marshal
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from core.errors import EncoderKilled, EncoderStalled, MissingDependency
from core.settings import GiB
from media.layers import KERNEL_LAYERS, LayerName, ends_on_refusal, is_on

logger = logging.getLogger(__name__)

#: Imported, a module is compiled once; a script would be at each start.
_START: Final = "import sys; sys.path.append(sys.argv[1]); import confined_exec; confined_exec.main(sys.argv[2:])"
_PROBE_TIMEOUT_S: Final = 20
ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
#: Bytes, but for files and seconds. Decoding 4096 x 2304 and encoding three rungs of it stays below 3 GiB;
#: the stacks of threads come on top, and there are some for every processor.
_LIMITS: Final = {
    "RLIMIT_AS": 8 * GiB + (os.cpu_count() or 1) * GiB // 8,
    "RLIMIT_FSIZE": 64 * GiB,
    "RLIMIT_NOFILE": 256,
    "RLIMIT_CORE": 0,
    "RLIMIT_CPU": 48 * 3600,
}
#: What the driver of a GPU looks at: its own facts, the process it is in, and where cards and memory are.
_GPU_READS: Final = (
    "/proc/driver/nvidia",
    "/proc/devices",
    "/proc/self",
    "/sys/bus/pci/devices",
    *sorted(str(path) for path in Path("/sys/devices").glob("pci*")),
    "/sys/devices/system/node",
)
_SENTENCES: Final = {
    LayerName.PARENT_DEATH: "a killed worker takes its media processes along",
    LayerName.RLIMITS: "memory, file size and open files of a media process are bounded",
    LayerName.NO_NEW_PRIVS: "a media process cannot gain rights",
    LayerName.LANDLOCK: "a media process reads its input, writes its output folder, and reaches no other file",
    LayerName.SECCOMP: "a media process cannot open a socket",
}


@dataclass(frozen=True)
class Layer:
    """One layer of the jail as this machine has it."""

    name: LayerName
    active: bool
    #: What it does, or why it is missing.
    sentence: str


@cache
def layers() -> tuple[Layer, ...]:
    """Try each layer of the kernel once in this process's life, by doing what it forbids.

    Raises:
        EncoderStalled, EncoderKilled: they could not be tried; the next call tries again (transient).
        MissingDependency: what tries them does not run here (permanent).
    """
    with NamedTemporaryFile() as outside:
        policy = _policy([name.value for name in KERNEL_LAYERS], outside=outside.name)
        said = _probed(policy)
    found = tuple(_layer(name, said.get(name.value, "the probe says nothing")) for name in KERNEL_LAYERS)
    for layer in found:
        if not layer.active:
            logger.warning("media programs run without the layer %s: %s", layer.name, layer.sentence)
    return found


def _probed(policy: str) -> dict[str, str]:
    """Say for each layer what is wrong with it; never that all are missing because the question failed."""
    command = [*_prefix(), policy]
    try:
        done = subprocess.run(command, capture_output=True, env=ENVIRONMENT, timeout=_PROBE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise EncoderStalled(f"The jail could not be tried within {_PROBE_TIMEOUT_S} s.") from error
    except OSError as error:
        raise EncoderKilled(f"The jail could not be tried: {error}") from error
    if done.returncode < 0:
        raise EncoderKilled(f"What tries the jail was ended by signal {-done.returncode}.")
    try:
        said: dict[str, str] = json.loads(done.stdout)
    except ValueError as error:
        raise MissingDependency(
            f"The jail could not be tried: {done.stderr[-500:].decode(errors='replace')}"
        ) from error
    return said


def confined(argv: Sequence[str], cwd: Path | None) -> list[str]:
    """Build the command that starts a program in the jail.

    What begins with `file:` among the arguments may be read, `cwd` may be written. An encoder on a GPU gets its
    devices, and no bound on addresses: CUDA reserves many times what it uses.
    """
    wanted = [layer.name.value for layer in layers() if layer.active and is_on(layer.name)]
    read = [arg.removeprefix("file:") for arg in argv[1:] if arg.startswith("file:/")]
    on_gpu = any(option.startswith("-c:v") and name.endswith("_nvenc") for option, name in pairwise(argv))
    policy = _policy(
        wanted,
        read=[*read, *_GPU_READS] if on_gpu else read,
        write=[str(cwd)] if cwd else [],
        programs=_of_program(Path(argv[0])),
        devices=gpu_devices() if on_gpu else [],
        limits={name: value for name, value in _LIMITS.items() if not on_gpu or name != "RLIMIT_AS"},
    )
    return [*_prefix(), policy, *argv]


def _of_program(program: Path) -> list[str]:
    """Give the program, where it really lies, and the libraries that its package brings; nothing else beside it."""
    lies = program.resolve()
    return sorted({str(program), str(lies), *(str(folder / "lib") for folder in lies.parents[:2])})


def gpu_devices(folder: Path = Path("/dev")) -> list[str]:
    """Name the devices of NVIDIA's driver that are here."""
    return sorted(str(path) for name in ("nvidiactl", "nvidia[0-9]*", "nvidia-uvm*") for path in folder.glob(name))


def _prefix() -> list[str]:
    # -I and -S: nothing from the environment, no site packages; a quarter of a normal start.
    return [sys.executable, "-I", "-S", "-c", _START, str(Path(__file__).parent)]


def _policy(
    names: Sequence[str],
    *,
    read: Sequence[str] = (),
    write: Sequence[str] = (),
    programs: Sequence[str] = (),
    devices: Sequence[str] = (),
    limits: Mapping[str, int] | None = None,
    outside: str = "",
) -> str:
    return marshal.dumps(
        {
            "layers": list(names),
            "parent": os.getpid(),
            "limits": dict(_LIMITS if limits is None else limits),
            "read": list(read),
            "write": list(write),
            "programs": list(programs),
            "devices": list(devices),
            "outside": outside,
            "ends_on_refusal": ends_on_refusal(),
        }
    ).hex()


def _layer(name: LayerName, complaint: str) -> Layer:
    if complaint:
        return Layer(name, active=False, sentence=f"degraded: {complaint}")
    return Layer(name, active=True, sentence=_SENTENCES[name])
