"""Chooses ports on the loopback address, and keeps them as long as they are free."""

import random
import socket
from collections.abc import Iterable, Mapping
from typing import Final

from core.errors import StackFailed

LOOPBACK: Final = "127.0.0.1"
#: Below the range that Linux hands to outgoing connections (32768 and up), so that no chance
#: connection sits on a port we chose last week; 10,000 above each is free of that range's start too.
CANDIDATES: Final = range(15_000, 22_000)
#: SeaweedFS finds some of its own parts at port + 10,000, whatever its flags say.
COMPANION: Final = 10_000


def is_free(port: int) -> bool:
    """Say whether nothing listens on the port; a connection that is still closing does not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose_ports(names: Iterable[str], kept: Mapping[str, int]) -> dict[str, int]:
    """Give every name a free port, and the port it had before wherever that is still free.

    A port's companion (10,000 above) is free as well and given to nobody.

    Raises:
        StackFailed: no port is left.
    """
    chosen: dict[str, int] = {}
    for name in names:
        tries = [kept[name]] if name in kept else []
        tries += random.sample(CANDIDATES, 200)
        for port in tries:
            if port not in chosen.values() and is_free(port) and is_free(port + COMPANION):
                chosen[name] = port
                break
        else:
            raise StackFailed(f"no free port was found between {CANDIDATES.start} and {CANDIDATES.stop}")
    return chosen
