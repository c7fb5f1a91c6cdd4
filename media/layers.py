"""The layers that stand between an upload and this machine; each can be taken away, by tests alone.

For every known attack at least two of them hold, so tests run each attack with each single layer off.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Final


class LayerName(StrEnum):
    """What protects us, from the first byte to the kernel."""

    #: Files that are no media by their first bytes never reach a media program.
    SNIFF = "sniff"
    #: Media programs may open files, and no address.
    PROTOCOLS = "protocols"
    #: Only containers that never point at other files.
    DEMUXERS = "demuxers"
    #: Only decoders on the list.
    CODECS = "codecs"
    #: Pictures, streams and single blocks of memory are bounded inside of ffmpeg.
    SIZES = "sizes"
    #: Memory, file size, open files and core dumps are bounded by the kernel.
    RLIMITS = "rlimits"
    #: A media process dies with the thread that started it.
    PARENT_DEATH = "parent-death"
    #: No program that is started can gain rights.
    NO_NEW_PRIVS = "no-new-privs"
    #: The kernel opens the system and the input for reading, the output folder for writing, nothing else.
    LANDLOCK = "landlock"
    #: The kernel refuses sockets and other system calls that no decoder needs.
    SECCOMP = "seccomp"


#: Layers that the kernel keeps, in the order in which they are applied.
KERNEL_LAYERS: Final = (
    LayerName.PARENT_DEATH,
    LayerName.RLIMITS,
    LayerName.NO_NEW_PRIVS,
    LayerName.LANDLOCK,
    LayerName.SECCOMP,
)
_off: ContextVar[frozenset[LayerName]] = ContextVar("layers_off", default=frozenset())
_ends_on_refusal: ContextVar[bool] = ContextVar("ends_on_refusal", default=False)


def is_on(layer: LayerName) -> bool:
    """Whether a layer is wanted here."""
    return layer not in _off.get()


@contextmanager
def without(*layers: LayerName) -> Iterator[None]:
    """Take layers away in this thread, to show in a test that the others hold."""
    token = _off.set(_off.get() | frozenset(layers))
    try:
        yield
    finally:
        _off.reset(token)


def ends_on_refusal() -> bool:
    """Whether a media process is to end at the first system call that it is refused."""
    return _ends_on_refusal.get()


@contextmanager
def tripwire() -> Iterator[None]:
    """End media processes of this thread by SIGSYS at a refused call, which would otherwise only fail unseen."""
    token = _ends_on_refusal.set(True)
    try:
        yield
    finally:
        _ends_on_refusal.reset(token)
