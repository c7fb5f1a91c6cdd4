"""Full text: videos whose title or description says the words of a query."""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Text, column, func, literal, select, true
from sqlalchemy.dialects.postgresql import REGCONFIG, TSQUERY
from sqlalchemy.orm import Session

from models.states import VideoStatus
from models.video import Video

#: The text search configuration that the migration makes: English stems without accents.
CONFIGURATION: Final = literal("dailies", REGCONFIG)
#: Around each word that matched, in a text made for us to read back; a title that holds them garbles only that.
_OPEN, _CLOSE = "\x02", "\x03"
#: Words that are told of one video.
_MOST_WORDS: Final = 8


class WordMatch(BaseModel):
    """A video that says the words of a query; the best match comes first."""

    model_config = ConfigDict(frozen=True)

    video_id: UUID
    #: The words as they are written there, in order of appearance.
    words: tuple[str, ...]


def videos_saying(
    session: Session, query: str, *, owner_id: str, where: Collection[ColumnElement[bool]] = (), limit: int
) -> list[WordMatch]:
    """Give the owner's indexed videos whose title or description says all words of a query, best first.

    Args:
        query: as people type it: "quoted phrases", `or` and `-without` are understood; never an error. One that nothing
            but the lack of words can satisfy, such as `-cat`, says nothing.
        where: further conditions on `Video`.
    """
    wanted = func.websearch_to_tsquery(CONFIGURATION, query, type_=TSQUERY).label("wanted")
    asked = select(wanted).subquery("asked")
    said = func.concat_ws(". ", Video.title, Video.description)
    options = f'StartSel="{_OPEN}", StopSel="{_CLOSE}", HighlightAll=true'
    # cover density: words that stand close together say more than the same words far apart
    rank = func.ts_rank_cd(Video.words, asked.c.wanted)
    found = (
        select(Video.id, said.label("said"), rank.label("rank"), asked.c.wanted)
        .join(asked, true())
        .where(
            Video.owner_id == owner_id,
            Video.status == VideoStatus.INDEXED,
            Video.words.op("@@")(asked.c.wanted),
            # What is left of a query that no index can answer: nearly every video lacks some word.
            func.querytree(asked.c.wanted) != "T",
            *where,
        )
        .order_by(rank.desc(), Video.id)
        .limit(limit)
        .subquery("found")
    )
    marked = func.ts_headline(CONFIGURATION, found.c.said, found.c.wanted, options, type_=Text)
    rows = session.execute(select(found.c.id, marked).order_by(found.c.rank.desc(), column("id")))
    return [WordMatch(video_id=video_id, words=marked_words(text)) for video_id, text in rows]


def marked_words(text: str) -> tuple[str, ...]:
    """Read back the words that ts_headline marked, each once."""
    parts = text.split(_OPEN)[1:]
    words = (part.partition(_CLOSE)[0] for part in parts)
    return tuple({word.casefold(): word for word in reversed(list(words))}.values())[::-1][:_MOST_WORDS]
