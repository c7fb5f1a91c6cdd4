"""The search itself: from a text, a picture or a scene to hits in order, with the reasons for each."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.settings import EncoderSettings
from models import Encoder, Video
from models.best_scenes import best_of_videos, scene_with_video, vectors_of
from models.nearest import SceneFilters, SceneHit, nearest, vector_of
from models.reading import active_encoder
from models.words import videos_saying
from service import cursors
from service.door import Door
from service.encoding import picture_vector, settings_of, text_vector
from service.judging import Judgement, Sort, judge
from service.ranking import Distinct, collapse, fuse

#: Hits on a page, at most.
MOST_ON_A_PAGE: Final = 200
#: Scenes that are looked at by picture, in turn: deeper for later pages, and where many of them are told as one.
DEPTHS: Final = (30, 200, 1_000)
#: Videos whose words match that take part; no more than the first depth, so that a deeper list begins like it.
VIDEOS_SAYING: Final = 30


def _in_utc(moment: dt.datetime) -> dt.datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


Moment = Annotated[dt.datetime, AfterValidator(_in_utc)]
Length = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class Choice(BaseModel):
    """Which scenes may answer, and how many; every range is half-open [from, to)."""

    video: list[UUID] = Field(default=[], max_length=100, description="only scenes of these videos; may be repeated")
    created_from: Moment | None = Field(None, description="videos uploaded from this moment on (UTC unless it says)")
    created_to: Moment | None = Field(None, description="videos uploaded before this moment")
    duration_from_s: Length | None = Field(None, description="videos of at least this many seconds")
    duration_to_s: Length | None = Field(None, description="videos shorter than this")
    time_from_s: Length | None = Field(None, description="scenes that are on at this second of their video or later")
    time_to_s: Length | None = Field(None, description="scenes that begin before this second of their video")
    limit: int = Field(10, ge=1, le=MOST_ON_A_PAGE, description="hits on a page")
    cursor: str | None = Field(None, max_length=300, description="from the `Link` header of the page before")
    collapse: bool = Field(default=True, description="tell scenes that look the same once")
    good_only: bool = Field(default=False, description="leave out what is no good match")

    def filters(self) -> SceneFilters:
        """Give the conditions as the records take them."""
        return SceneFilters(video_ids=tuple(self.video) or None, **self.model_dump(include=_CONDITIONS))


_CONDITIONS: Final = set(SceneFilters.model_fields) - {"video_ids"}


@dataclass(frozen=True)
class Hit:
    """One entry of an answer."""

    found: Distinct
    judgement: Judgement


@dataclass(frozen=True)
class Findings:
    """One page of an answer."""

    hits: Sequence[Hit] = ()
    #: Nothing that was found, on any page, is likely to be what was asked for.
    no_good_match: bool = True
    #: Give it as `cursor` to go on; None at the end.
    next: str | None = None


@dataclass(frozen=True)
class _Question:
    """What every sort of search comes down to."""

    encoder: Encoder
    #: How the encoder is loaded here.
    settings: EncoderSettings
    vector: Sequence[float]
    choice: Choice
    #: Names the search among all others, for its cursors.
    name: str
    sort: Sort
    text: str | None = None
    #: The scene that others are compared with: it is no answer itself.
    besides: UUID | None = None


def find_by_text(door: Door, text: str, choice: Choice) -> Findings:
    """Find the scenes that show what a text says, or whose video says it.

    Raises:
        OtherEncoder, StaleCursor, MalformedRequest, MissingDependency, EncoderUnhealthy: permanent.
        AcceleratorBusy, DatabaseUnavailable: transient.
    """
    asked = _active_encoder(door)
    if asked is None:
        return Findings()
    encoder, settings = asked
    name = _named(encoder, choice, text)
    vector = text_vector(settings, encoder.spec, text)
    return _answer(door, _Question(encoder, settings, vector, choice, name, Sort.TEXT, text))


def find_by_picture(door: Door, content: bytes, choice: Choice) -> Findings:
    """Find the scenes that look like a picture.

    Raises:
        UnreadablePicture: permanent. Else as `find_by_text`.
    """
    from media.picture import read_picture

    pixels = read_picture(content)  # first of all: a bad picture is told before anything is loaded
    asked = _active_encoder(door)
    if asked is None:
        return Findings()
    encoder, settings = asked
    name = _named(encoder, choice, hashlib.sha256(content).hexdigest())
    vector = picture_vector(settings, encoder.spec, pixels)
    return _answer(door, _Question(encoder, settings, vector, choice, name, Sort.PICTURE))


def find_similar(door: Door, scene_id: UUID, choice: Choice) -> Findings:
    """Find the scenes that look like another one; no network is asked, its vector is there.

    Raises:
        NotFound: there is no such scene, or it has no vector in the active space yet (permanent).
    """
    owner_id = door.settings.owner_id
    with door.transaction() as session:
        if scene_with_video(session, scene_id, owner_id=owner_id) is None:
            raise NotFound(f"There is no scene {scene_id}.")
        encoder = active_encoder(session)
        vector = vector_of(session, encoder, scene_id, owner_id=owner_id) if encoder else None
    if encoder is None or vector is None:
        raise NotFound(f"Scene {scene_id} has not been embedded by the active encoder yet.")
    name = _named(encoder, choice, scene_id)
    own = door.settings.encoder  # no network is asked
    return _answer(door, _Question(encoder, own, vector, choice, name, Sort.SCENE, besides=scene_id))


def _active_encoder(door: Door) -> tuple[Encoder, EncoderSettings] | None:
    """Give the encoder that answers searches, and how to load it here; None before anything was indexed."""
    with door.transaction() as session:
        encoder = active_encoder(session)
    return (encoder, settings_of(encoder, door.settings.encoder)) if encoder else None


def _named(encoder: Encoder, choice: Choice, asked: object) -> str:
    return cursors.name_of(encoder.id, asked, choice.model_dump(exclude={"limit", "cursor"}))


def _answer(door: Door, question: _Question) -> Findings:
    choice = question.choice
    place = cursors.read(choice.cursor, question.name) if choice.cursor else None
    for depth in _depths(place, choice.limit):
        look = _look(door, question, place, depth)
        good = [hit for hit in look.hits if hit.judgement.is_good_match is not False]
        shown = good if choice.good_only else look.hits
        ids = [hit.found.candidate.scene.scene_id for hit in shown]
        first = place.after(ids) if place else 0
        last = first + choice.limit
        # Good matches come first: below one that is none lie hardly any.
        ends = choice.good_only and look.hits[-1:] != good[-1:]
        if last < len(ids) or look.is_whole or ends:
            break
    goes_on = cursors.Place(look.as_of, question.name, last, ids[last - 1], depth) if last < len(ids) else None
    return Findings(shown[first:last], not good, cursors.written(goes_on) if goes_on else None)


def _depths(place: cursors.Place | None, limit: int) -> Sequence[int]:
    """Give how deep to look, in turn: deeper than the page's last hit, and not less deep than for the page before."""
    least, last = (place.depth, place.shown + limit) if place else (0, limit)
    return [depth for depth in DEPTHS if depth >= least and depth > last] or DEPTHS[-1:]


@dataclass(frozen=True)
class _Look:
    """What may answer, as far as was looked."""

    hits: Sequence[Hit]
    as_of: dt.datetime
    #: Nothing lies deeper.
    is_whole: bool


def _look(door: Door, question: _Question, place: cursors.Place | None, depth: int) -> _Look:
    """Give everything that may answer, best first."""
    owner_id, encoder, filters = door.settings.owner_id, question.encoder, question.choice.filters()
    with door.transaction() as session:
        as_of = place.as_of if place else session.scalars(select(func.now())).one()
        visual = nearest(session, encoder, question.vector, owner_id=owner_id, filters=filters, limit=depth)
        said = _said(session, question, filters, owner_id)
        candidates = [
            each
            for each in fuse(visual, said, together=DEPTHS[0])
            if each.scene.scene_id != question.besides and (place is None or each.scene.created_at < as_of)
        ]
        vectors = vectors_of(session, encoder, [each.scene.scene_id for each in candidates])
    # What was taken away between the two questions is no answer any more.
    candidates = [each for each in candidates if each.scene.scene_id in vectors]
    found = collapse(candidates, vectors) if question.choice.collapse else [Distinct(each) for each in candidates]
    judgements = judge(question.settings, question.sort, question.vector, found, vectors)
    hits = [Hit(each, judgement) for each, judgement in zip(found, judgements, strict=True)]
    return _Look(hits, as_of, is_whole=len(visual) < depth)


def _said(
    session: Session, question: _Question, filters: SceneFilters, owner_id: str
) -> list[tuple[tuple[str, ...], list[SceneHit]]]:
    """Give the videos that say the words of a text, best first: the words, and the scenes that stand for each."""
    if question.text is None:
        return []
    matches = videos_saying(session, question.text, owner_id=owner_id, where=_of_video(filters), limit=VIDEOS_SAYING)
    if not matches:
        return []
    ids = [match.video_id for match in matches]
    scenes = best_of_videos(
        session, question.encoder, question.vector, owner_id=owner_id, video_ids=ids, filters=filters
    )
    return [(match.words, scenes.get(match.video_id, [])) for match in matches]


def _of_video(filters: SceneFilters) -> list[ColumnElement[bool]]:
    among = [] if filters.video_ids is None else [Video.id.in_(filters.video_ids)]
    return [*filters.of_video(), *among]
