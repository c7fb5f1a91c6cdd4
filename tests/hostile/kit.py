"""What an attack is made of: a good film, a neighbour whose files nobody may read, and ports that nobody may call."""

import ctypes
import io
import os
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from media.tools import Tools

CANARY: Final = b"canary-7f3a91"
_IN_ACCESS, _IN_OPEN = 0x1, 0x20


@dataclass(frozen=True)
class Kit:
    """The place of an attack."""

    tools: Tools
    folder: Path
    #: A playable film of another upload, all magenta, and a text; both are watched.
    neighbour: Path
    secret: Path
    #: Numbers of a TCP and a UDP port on this machine that somebody listens at.
    tcp: int
    udp: int
    #: A good film of one second, with sound; its index is at the end.
    film: bytes

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.tcp}/secret.ts"

    def make(self, name: str, *args: str) -> bytes:
        """Run ffmpeg with these arguments and the output's name; each name is made once."""
        target = self.folder / name
        if not target.exists():
            command = [str(self.tools.ffmpeg), "-nostdin", "-v", "error", "-y", *args, str(target)]
            subprocess.run(command, check=True, timeout=60)
        return target.read_bytes()


def make_kit(tools: Tools, folder: Path, tcp: int, udp: int) -> Kit:
    """Make the good film and the neighbour's files; they lie beside the attacks, as on a worker's disk."""
    secrets = folder / "neighbour"
    secrets.mkdir()
    secret = secrets / "secret.txt"
    secret.write_bytes(b"#EXTM3U\n" + CANARY * 50)
    kit = Kit(tools, folder, secrets / "neighbour.ts", secret, tcp, udp, b"")
    magenta = ["-f", "lavfi", "-i", "color=magenta:r=10:s=64x64:d=1", "-c:v", "libx264", "-preset", "ultrafast"]
    kit.make("neighbour/neighbour.ts", *magenta, "-pix_fmt", "yuv420p", "-metadata", f"service_name={CANARY.decode()}")
    kit.make("neighbour/neighbour.mp4", "-i", str(kit.neighbour), "-c", "copy")
    pictures = ["-f", "lavfi", "-i", "testsrc2=r=10:s=64x64:d=1", "-f", "lavfi", "-i", "sine=440:d=1"]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "5", "-c:a", "aac"]
    film = kit.make("film.mp4", *pictures, *coded)
    return Kit(tools, folder, kit.neighbour, secret, tcp, udp, film)


def jpeg(width: int, height: int, colour: str = "teal") -> bytes:
    kept = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(kept, "JPEG", quality=1)
    return kept.getvalue()


@contextmanager
def listening() -> Iterator[tuple[int, int, Callable[[], list[str]]]]:
    """Listen at a TCP and a UDP port; gives their numbers, and asks who has called so far."""
    calls: list[str] = []
    tcp = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    ended_r, ended_w = os.pipe()

    def serve() -> None:
        while True:
            ready, _, _ = select.select([tcp, udp, ended_r], [], [])
            if ended_r in ready:
                return
            if tcp in ready:
                connection, _ = tcp.accept()
                calls.append("tcp")
                connection.close()
            if udp in ready:
                udp.recv(4096)
                calls.append("udp")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield tcp.getsockname()[1], udp.getsockname()[1], lambda: calls
    finally:
        os.write(ended_w, b"x")
        thread.join()
        tcp.close()
        udp.close()
        os.close(ended_r)
        os.close(ended_w)


class Watch:
    """Remember whether anybody opened a file of a folder (inotify, which sees every process)."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._handle = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._handle < 0 or libc.inotify_add_watch(self._handle, os.fsencode(folder), _IN_OPEN | _IN_ACCESS) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def was_read(self) -> bool:
        """Whether a file was opened since we were last asked."""
        try:
            return bool(os.read(self._handle, 65536))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._handle)
