"""Every attack by its name: what is uploaded, made on the spot."""

from collections.abc import Callable
from typing import Final

from tests.hostile.attacks import bombs, disguises, playlists, references
from tests.hostile.kit import Kit

#: What makes each attack.
ATTACKS: Final[dict[str, Callable[[Kit], bytes]]] = {
    **playlists.ATTACKS,
    **references.ATTACKS,
    **bombs.ATTACKS,
    **disguises.ATTACKS,
}
