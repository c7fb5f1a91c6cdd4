"""Backfill: bring published videos to today's recipe of a stage; what serves them meanwhile stays as it is.

Nothing of it is remembered anywhere but in what it works on: which videos lack a recipe stands in `video_stage`, which
were asked for in Prefect, under one key a video and recipe. So it may be run twice, and after a crash it goes on.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any, Final
from uuid import UUID, uuid4

from prefect.client.schemas.filters import FlowRunFilter
from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.fingerprint import Recipes
from core.settings import Settings
from core.stages import Stage
from dispatch.runs import INGEST, prefect_client, request, reschedule, run_name
from encoders.catalog import spec_for
from models import Encoder, Rendition, Scene, Video, recipes, spaces, stage_statistic
from models.recipes import Candidate, Column, Order
from models.session import transaction
from models.states import Queue, StageState

#: Flow that fills one space for one video.
EMBED: Final = "embed-video"
#: Deployment of the flow that works through a selection.
BY_HAND: Final = "backfill/by-hand"
#: On every run that a backfill asked for: the daily budget counts them.
TAG: Final = "brought-up-to-date"
#: Videos that estimates of bytes are taken from.
SAMPLE: Final = 200
#: Runs that wait for those that run: enough that no worker is idle between two looks.
WAITING: Final = 10
#: Seconds between two looks at the runs that were asked for.
POLL_S: Final = 2.0
#: Ids in one question to Prefect.
_IDS: Final = 200
#: A half-precision number, and the head of a vector.
_NUMBER_BYTES, _VECTOR_BYTES = 2, 8


class Selection(BaseModel):
    """Which videos, and which column of the coverage matrix."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Stage
    #: The space to fill, as `dailies encoders` names it; only with embed. None: that of the configured encoder.
    space: str | None = None
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
    #: Published videos that lack the recipe; with dates given, at most so many.
    videos: int
    #: None while nothing of the kind has been done here.
    hours: float | None
    bytes: int | None


class Asked(BaseModel):
    """A video whose run was asked for."""

    model_config = ConfigDict(frozen=True)

    candidate: Candidate
    run_id: UUID


class Step(BaseModel):
    """How far a backfill is."""

    model_config = ConfigDict(frozen=True)

    done: int
    #: Runs that ended without the recipe: see them in the Prefect UI; the next backfill resumes them.
    failed: int
    #: Asked for and not ended.
    going: int
    #: Why it ends before everything is done; empty otherwise.
    note: str


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


def plan(settings: Settings, selection: Selection) -> Plan:
    """Count what a backfill would do and estimate what it takes; does none of it."""
    aim = target(settings, selection)
    with transaction(settings.database) as session:
        videos = recipes.behind(session, aim.column, aim.recipe, settings.owner_id)
        first = _candidates(session, settings, selection, aim, None, SAMPLE)
        bounded = selection.since or selection.until
        # A space that is new has no rows yet to look among.
        if bounded and len(first) < SAMPLE and recipes.is_whole(session, aim.column, settings.owner_id):
            videos = len(first)
        each_s = _seconds_each(stage_statistic.ended(session), selection.stage)
        each_bytes = _bytes_each(session, aim, [one.video_id for one in first])
    return Plan(
        target=aim,
        videos=videos,
        hours=None if each_s is None else round(videos * each_s / settings.workflow.backfills_at_once / 3600, 2),
        bytes=None if each_bytes is None else round(videos * each_bytes),
    )


def _seconds_each(ended: Sequence[stage_statistic.Ended], stage: Stage) -> float | None:
    """Give the mean seconds that a video took in this stage; shares count one after the other."""
    done = [each for each in ended if each.stage is stage and each.state is StageState.DONE]
    videos = sum(each.runs for each in done if not each.part)
    return sum(each.seconds for each in done) / videos if videos else None


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


def prepare(settings: Settings, aim: Target) -> None:
    """Give every published video a row in the column, in short transactions; nothing to do once they have."""
    with transaction(settings.database) as session:
        if recipes.is_whole(session, aim.column, settings.owner_id):
            return
    after: UUID | None = None
    while True:
        with transaction(settings.database) as session:
            after = recipes.add_missing(session, aim.column, after)
        if after is None:
            return


def page(settings: Settings, selection: Selection, aim: Target, after: Candidate | None, limit: int) -> list[Candidate]:
    """Give the next videos that lack the recipe."""
    with transaction(settings.database) as session:
        return _candidates(session, settings, selection, aim, after, limit)


def _candidates(
    session: Session, settings: Settings, selection: Selection, aim: Target, after: Candidate | None, limit: int
) -> list[Candidate]:
    return recipes.candidates(
        session,
        aim.column,
        aim.recipe,
        settings.owner_id,
        order=selection.order,
        since=selection.since,
        until=selection.until,
        after=after,
        limit=limit,
    )


def ask(settings: Settings, aim: Target, candidate: Candidate) -> Asked:
    """Ask for the run that brings one video to the recipe; asked again, it is the same run, resumed if it had ended.

    Raises:
        WorkflowUnavailable: transient.
        WorkflowRefused, NotFound: permanent.
    """
    with transaction(settings.database) as session:
        title = session.scalar(select(Video.title).where(Video.id == candidate.video_id)) or ""
    parameters = {"video_id": str(candidate.video_id)} | ({"space": aim.space} if aim.space else {})
    run = request(
        f"{EMBED if aim.space else INGEST}/{Queue.BACKFILL}",
        parameters,
        key=f"backfill:{candidate.video_id}:{aim.recipe}",
        name=run_name(title, candidate.video_id),
        tags=(TAG,),
    )
    reschedule(run)
    return Asked(candidate=candidate, run_id=run)


def still_going(run_ids: Sequence[UUID]) -> set[UUID]:
    """Give those of these runs that have not ended.

    Raises:
        WorkflowUnavailable: transient.
    """
    ended = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
    going: set[UUID] = set()
    with prefect_client() as client:
        for first in range(0, len(run_ids), _IDS):
            wanted = FlowRunFilter.model_validate({"id": {"any_": list(run_ids[first : first + _IDS])}})
            found = client.read_flow_runs(flow_run_filter=wanted, limit=_IDS)
            going |= {run.id for run in found if run.state_type is None or run.state_type.value not in ended}
    return going


def start(parameters: dict[str, Any]) -> UUID:
    """Ask for a run of the backfill flow; give its id.

    Raises:
        WorkflowUnavailable: transient; asked again, there may be two runs, which share the work.
        WorkflowRefused, NotFound: permanent.
    """
    name = f"backfill {parameters['stage']}"
    return request(BY_HAND, parameters, key=f"backfill:{uuid4()}", name=name)


def asked_since(begin: dt.datetime) -> int:
    """Count the runs that backfills have asked for since an instant.

    Raises:
        WorkflowUnavailable: transient.
    """
    tagged = {"tags": {"all_": [TAG]}, "expected_start_time": {"after_": begin}}
    with prefect_client() as client:
        return client.count_flow_runs(flow_run_filter=FlowRunFilter.model_validate(tagged))


def finished(settings: Settings, aim: Target, video_ids: Sequence[UUID]) -> int:
    """Count those of these videos that have the recipe now."""
    done = 0
    with transaction(settings.database) as session:
        for first in range(0, len(video_ids), _IDS):
            done += len(recipes.up_to_date(session, aim.column, aim.recipe, video_ids[first : first + _IDS]))
    return done


def work_through(
    settings: Settings, selection: Selection, planned: Plan, per_minute: int, daily_budget: int
) -> Iterator[Step]:
    """Ask for one run after the other and follow them until all have ended; tell how far it is after each step.

    Raises:
        WorkflowUnavailable, DatabaseUnavailable: transient; called again, it goes on.
        WorkflowRefused, NotFound: permanent.
    """
    aim = planned.target
    prepare(settings, aim)
    most_going = settings.workflow.backfills_at_once + WAITING
    after: Candidate | None = None
    going: dict[UUID, UUID] = {}
    done = failed = 0
    pause = Event()
    while True:
        midnight = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        # Asked anew each time: other backfills spend of it, too.
        left = daily_budget - asked_since(midnight)
        room = min(most_going - len(going), left)
        batch = page(settings, selection, aim, after, room) if room > 0 else []
        for candidate in batch:
            going[ask(settings, aim, candidate).run_id] = candidate.video_id
            after = candidate
            # A slow backfill spends its time here, and whoever follows it may have been told to stop.
            yield Step(done=done, failed=failed, going=len(going), note="")
            pause.wait(60 / per_minute)
        unfinished = still_going(list(going))
        ended = [going.pop(run_id) for run_id in list(going) if run_id not in unfinished]
        right = finished(settings, aim, ended)
        done, failed = done + right, failed + len(ended) - right
        # Without room nobody looked for more.
        over = not going and (left <= 0 or (room > 0 and not batch))
        note = f"The budget of {daily_budget} videos a day is used up." if over and left <= 0 else ""
        yield Step(done=done, failed=failed, going=len(going), note=note)
        if over:
            return
        if not ended:
            pause.wait(POLL_S)
