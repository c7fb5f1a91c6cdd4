"""What a backfill would do: which videos, by which recipe, and what that takes by what it took here so far."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.fingerprint import Recipes
from core.settings import Settings
from core.stages import REDONE, Stage
from encoders.catalog import spec_for
from models import Encoder, Rendition, Scene, Video, coverage, lacking, recipes, spaces, stage_statistic
from models.lacking import Candidate, Lack, Order, Wanted
from models.recipes import Column
from models.session import transaction
from models.states import StageState

#: Videos that estimates are taken from.
SAMPLE: Final = 200
#: What a run takes beside its stages, s: a process, and telling Prefect of each task (`python -m benchmarks.throughput`).
RUN_S: Final = 6.0
#: A half-precision number, and the head of a vector.
_NUMBER_BYTES, _VECTOR_BYTES = 2, 8


class Selection(BaseModel):
    """Which videos, and which column of the coverage matrix."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Stage
    #: The space to fill, as `dailies encoders` names it; only with embed. None: that of the configured encoder.
    space: str | None = None
    #: Only videos that coverage counts so; None: whichever are not up to date.
    state: Lack | None = None
    #: Whose videos; None: those of the owner in the settings.
    owner: str | None = None
    order: Order = Order.OLDEST
    #: Videos that came at this instant or later, and before that one.
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class Target(BaseModel):
    """What a selection comes to: a column, the recipe it is to be done by, the space it fills."""

    model_config = ConfigDict(frozen=True)

    column: Column
    recipe: str
    #: Number of the space, for embedding.
    space: str | None


class Plan(BaseModel):
    """What there is to do, and what it will take by what it took so far."""

    model_config = ConfigDict(frozen=True)

    target: Target
    #: Published videos that lack the recipe.
    videos: int
    #: From begin to end; None while something of the kind has not been done here.
    hours: float | None
    #: Of today's results; None for a stage whose results are small.
    bytes: int | None


def target(settings: Settings, selection: Selection) -> Target:
    """Say what a selection means today; the space of the configured encoder is opened when it is new.

    Raises:
        NotFound: there is no space of the name that was given (permanent).
        MissingDependency: the configured encoder is not here (permanent).
    """
    today = Recipes(settings)
    if selection.stage is not Stage.EMBED:
        return Target(column=Column(selection.stage), recipe=today.of(selection.stage), space=None)
    with transaction(settings.database) as session:
        if selection.space:
            space = spaces.space_named(session, selection.space)
        else:
            # By what it is, never by what the settings call it: a folder, or a name that older revisions share.
            space = spaces.register(session, spec_for(settings.encoder), settings.encoder.name)
        return Target(column=Column(Stage.EMBED, space.id), recipe=today.of_space(space.spec), space=str(space.id))


def plan(settings: Settings, selection: Selection, per_minute: int) -> Plan:
    """Count what a backfill would do and estimate what it takes; does none of it.

    Args:
        per_minute: videos a minute at most.
    """
    aim = target(settings, selection)
    which = wanted(settings, selection, aim)
    with transaction(settings.database) as session:
        videos = lacking.count(session, which)
        sample = _sample(session, selection, which)
        each_s = _seconds_each(session, settings, aim, sample)
        each_bytes = _bytes_each(session, aim, sample)
    slowest_s = None if each_s is None else max(each_s / at_once(settings, aim), 60 / per_minute)
    return Plan(
        target=aim,
        videos=videos,
        hours=None if slowest_s is None else round(videos * slowest_s / 3600, 2),
        bytes=None if each_bytes is None else round(videos * each_bytes),
    )


def days(planned: Plan, per_minute: int, daily_budget: int) -> int:
    """Give the most days (UTC) on which a backfill must be begun for all of its videos.

    Fewer where its runs take so long that no day uses the budget up: it goes on over midnight. One where its rate alone
    keeps it within the budget. Other backfills that share the budget are not known.
    """
    if per_minute * 24 * 60 <= daily_budget:
        return 1
    return max(1, -(-planned.videos // daily_budget))


def at_once(settings: Settings, aim: Target) -> int:
    """Give the runs of a backfill that its queue lets work at a time."""
    workflow = settings.workflow
    return (aim.space and workflow.gpu_at_once) or workflow.backfills_at_once


def wanted(settings: Settings, selection: Selection, aim: Target) -> Wanted:
    """Say which videos lack what a selection aims at."""
    return Wanted(
        column=aim.column,
        recipe=aim.recipe,
        owner_id=selection.owner or settings.owner_id,
        lack=selection.state,
        since=selection.since,
        until=selection.until,
    )


def prepare(settings: Settings, selection: Selection, aim: Target) -> None:
    """Give every published video a row in the column, in short transactions; nothing to do once they have."""
    with transaction(settings.database) as session:
        if lacking.is_whole(session, aim.column, selection.owner or settings.owner_id):
            return
    after: UUID | None = None
    while True:
        with transaction(settings.database) as session:
            after = lacking.add_missing(session, aim.column, after)
        if after is None:
            return


def page(settings: Settings, selection: Selection, aim: Target, after: Candidate | None, limit: int) -> list[Candidate]:
    """Give the next videos that lack the recipe."""
    which = wanted(settings, selection, aim)
    with transaction(settings.database) as session:
        return lacking.candidates(session, which, order=selection.order, after=after, limit=limit)


def matrix(settings: Settings, selection: Selection) -> list[coverage.Coverage]:
    """Give the coverage of every stage and space."""
    with transaction(settings.database) as session:
        today = recipes.columns(session, Recipes(settings))
        return coverage.coverage(session, today, selection.owner or settings.owner_id)


def _sample(session: Session, selection: Selection, which: Wanted) -> Sequence[UUID]:
    found = lacking.candidates(session, which, order=selection.order, limit=SAMPLE)
    if found or lacking.is_whole(session, which.column, which.owner_id):
        return [one.video_id for one in found]
    # A space that is new has no rows yet to look among.
    query = select(Video.id).where(lacking.published_between(which)).order_by(Video.created_at).limit(SAMPLE)
    return session.scalars(query).all()


def _seconds_each(session: Session, settings: Settings, aim: Target, sample: Sequence[UUID]) -> float | None:
    """Give the seconds that a video's run takes: every stage that it does again, and what a run takes itself.

    None when one of the stages was never done here, or nothing was embedded by the encoder of the space.
    """
    if not sample:
        return None
    took = _seconds_of_stages(session)
    if aim.space:
        again = {Stage.EMBED: 1.0}
        took = {Stage.EMBED: stage_statistic.embedding_s(session, aim.column.encoder_id)}
    else:
        shares = recipes.shares_to_redo(session, recipes.columns(session, Recipes(settings)), sample)
        # A run does whatever is stale of its video: all that hangs on the stage, and what was stale before.
        again = {aim.column.stage: 1.0, Stage.PUBLISH: 1.0}
        for column, share in shares.items():
            if column.stage is not aim.column.stage and column.stage in {Stage.VALIDATE, *REDONE}:
                again[column.stage] = again.get(column.stage, 0.0) + share
    known = {stage: took.get(stage) for stage, share in again.items() if share}
    if None in known.values():
        return None
    return RUN_S + sum(again[stage] * (seconds or 0.0) for stage, seconds in known.items())


def _seconds_of_stages(session: Session) -> Mapping[Stage, float | None]:
    """Give the mean seconds of each stage, of any one space for embedding; shares count one after the other."""
    ended = [each for each in stage_statistic.ended(session) if each.state is StageState.DONE]
    found: dict[Stage, float | None] = {}
    for stage in Stage:
        done = [each for each in ended if each.stage is stage]
        if runs := sum(each.runs for each in done if not each.part):
            found[stage] = sum(each.seconds for each in done) / runs
    return found


def _bytes_each(session: Session, aim: Target, sample: Sequence[UUID]) -> float | None:
    """Give the mean bytes that today's results of a stage take; None for a stage whose results are small."""
    if not sample or aim.column.stage not in {Stage.EMBED, Stage.TRANSCODE}:
        return None
    if aim.column.stage is Stage.TRANSCODE:
        query = select(func.sum(Rendition.size_bytes)).where(Rendition.video_id.in_(sample))
        return float(session.scalar(query) or 0) / len(sample)
    scenes = session.scalar(select(func.count()).select_from(Scene).where(Scene.video_id.in_(sample))) or 0
    dim = session.get_one(Encoder, aim.column.encoder_id).dim
    return scenes / len(sample) * (_VECTOR_BYTES + _NUMBER_BYTES * dim)
