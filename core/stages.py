"""The stages a video goes through, in order, and the version of each one's code."""

from enum import StrEnum
from typing import Final


class Stage(StrEnum):
    """One step of the ingest flow; the value is what the ledger, the keys and the command line say."""

    #: Fetch the source, sniff it, probe it, hold it against the limits.
    VALIDATE = "validate"
    #: Make every rendition and the analysis proxy from one decode of each chunk, then join the chunks.
    TRANSCODE = "transcode"
    #: Find shots on the proxy and merge them into scenes.
    SHOTS = "shots"
    #: Make a poster per scene and the contact sheet.
    STILLS = "stills"
    #: Give each scene a vector.
    EMBED = "embed"
    #: Write the rows that make the video visible; never cached.
    PUBLISH = "publish"


class Part(StrEnum):
    """A share of a stage's work with a result of its own; the value is what the keys and the tasks say."""

    #: One chunk of the pictures: every rung and the proxy.
    CHUNK = "chunk"
    #: The sound of the whole source.
    SOUND = "sound"


#: Raised by one when a stage's code changes what it makes: the old results are then made anew.
STAGE_VERSION: Final[dict[Stage, int]] = {
    Stage.VALIDATE: 2,
    Stage.TRANSCODE: 2,
    Stage.SHOTS: 1,
    Stage.STILLS: 3,
    Stage.EMBED: 4,
    Stage.PUBLISH: 1,
}
#: Likewise, of the sound alone: no picture is encoded anew for it.
SOUND_VERSION: Final = 2

#: What a backfill brings up to date. A verdict stands whatever the limits are today, and publishing makes nothing: neither
#: is ever stale.
REDONE: Final = (Stage.TRANSCODE, Stage.SHOTS, Stage.STILLS, Stage.EMBED)


def stages_from(first: Stage) -> tuple[Stage, ...]:
    """Give `first` and every stage after it, in order."""
    order = tuple(Stage)
    return order[order.index(first) :]
