"""Why is this video not searchable? One sentence, and what to do next."""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from core.stages import REDONE, Stage
from models import Encoder, Video, VideoStatus
from models.lacking import lack_of
from models.recipes import NEVER, Column, Known


class Answer(BaseModel):
    """What stands between a video and searches."""

    model_config = ConfigDict(frozen=True)

    searchable: bool
    sentence: str
    #: A command or a step; None when there is nothing to do.
    next_step: str | None = None


def why(
    video: Video,
    at_work: Stage | None,
    active: Encoder | None,
    known: Mapping[Column, Known],
    today: Mapping[Column, str],
) -> Answer:
    """Give the sentence.

    Args:
        at_work: the stage that the ledger says is running.
        active: the space that answers searches.
        known: the recipe that each column of the video was done by.
        today: the recipe that each column is done by now.
    """
    short = str(video.id)[:8]
    if video.status is VideoStatus.INDEXED:
        return _of_indexed(short, active, known, today)
    if video.status is VideoStatus.UPLOADING:
        return Answer(
            searchable=False,
            sentence=f"It was announced at {video.created_at:%Y-%m-%d %H:%M} UTC and its file has not arrived.",
            next_step="Upload the file to the address that the announcement gave, or begin anew: dailies ingest FILE",
        )
    if video.status is VideoStatus.REJECTED:
        return Answer(
            searchable=False,
            sentence=f"It was rejected ({video.reject_reason}): {video.reject_sentence}",
            next_step=f"Upload a mended file; after a change of limits: dailies rerun {short}",
        )
    if video.status is VideoStatus.FAILED:
        return Answer(
            searchable=False,
            sentence=f"It failed {_where(video.error_stage)}: {video.error_class}: {_first_line(video.error_message)}",
            next_step=f"Once the cause is mended it goes on where it stopped: dailies rerun {short}",
        )
    doing = f"stage {at_work} is running" if at_work else "it waits for its turn"
    return Answer(
        searchable=False, sentence=f"It is on its way: {doing}.", next_step=f"Watch it: dailies show {short} --follow"
    )


def _of_indexed(
    short: str, active: Encoder | None, known: Mapping[Column, Known], today: Mapping[Column, str]
) -> Answer:
    if active is None:
        return Answer(
            searchable=False,
            sentence="It is playable, but no encoder answers searches.",
            next_step="Choose one: dailies encoders activate NAME",
        )
    here = known.get(Column(Stage.EMBED, active.id))
    if here is None or here.recipe == NEVER:
        failed = " and the newest try to put it there failed" if here and here.failed else ""
        return Answer(
            searchable=False,
            sentence=f"It is playable, but not in the space of {active.name}, which answers searches{failed}.",
            next_step=f"Fill the space: dailies backfill embed --space {active.id}",
        )
    stale = [
        column
        for column in _redone(today)
        if lack_of(column, known[column].recipe if column in known else NEVER, today[column])
    ]
    broken = [column for column in _redone(today) if column in known and known[column].failed]
    if not stale and not broken:
        return Answer(searchable=True, sentence=f"It is searchable by {active.name}, and everything is up to date.")
    said = [f"{_names(stale)} would be done otherwise today"] * bool(stale)
    said += [f"the newest try to do {_names(broken)} again failed"] * bool(broken)
    first = (stale or broken)[0]
    space = f" --space {first.encoder_id}" if first.stage is Stage.EMBED else ""
    return Answer(
        searchable=True,
        sentence=f"It is searchable by {active.name}; {', and '.join(said)}.",
        next_step=f"Bring it up to date: dailies rerun {short}; all videos: dailies backfill {first.stage}{space}",
    )


def _redone(today: Mapping[Column, str]) -> Sequence[Column]:
    """Give the columns that a backfill brings up to date."""
    return [column for column in today if column.stage in REDONE]


def _names(columns: Sequence[Column]) -> str:
    return " and ".join(dict.fromkeys(column.stage for column in columns))


def _where(stage: str | None) -> str:
    return f"in stage {stage}" if stage else "between stages"


def _first_line(message: str | None) -> str:
    return next(iter((message or "").splitlines()), "")
