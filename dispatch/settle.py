"""Bring the states of videos and runs back into agreement, and resume what crashed.

A run whose process died cannot tell the database; this does. It is asked every few seconds by the service and again by
the reconcile flow, so either may be down.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from math import inf
from threading import Event
from typing import Any, Final
from uuid import UUID

from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled, Crashed, Running

from core.agreed import HEARTBEAT_S, NEVER_STARTED, SILENT
from core.errors import WorkflowRefused, WorkflowUnavailable
from core.logs import bound
from core.settings import Settings
from dispatch.failure_page import show_failure
from dispatch.rerun import request_again
from dispatch.runs import INGEST, give_up, is_still, prefect_client, reschedule
from models import attempts, counter, ledger
from models.reconciling import LiveVideo, count_auto_resume, live_videos
from models.session import transaction
from models.session_lock import SessionLock

logger = logging.getLogger(__name__)

#: Seconds from a crash to the first, second and third automatic resume; after that a person decides. The first is not
#: shorter because Prefect reports a killed process twice, about two seconds apart, and the second report would
#: overwrite a retry set in between.
RESUME_AFTER_S: Final = (5, 30, 120)
#: Seconds that a final state may be newer than the row that should follow it.
GRACE_S: Final = 15
#: Seconds that a run may stay with a worker before it starts, and without a sign of life before its first one. The
#: automation waits for three minutes; its events may be lost.
STUCK_S: Final = 300.0
#: Seconds since the last sign of life after which a process is lost. The automation waits half as long; its events may be lost.
LOST_S: Final = 6.0 * HEARTBEAT_S
#: Seconds for which a sign of life counts: half a period late is not dead.
FRESH_S: Final = 1.5 * HEARTBEAT_S
#: Videos looked at in one query.
BATCH: Final = 200
#: One process at a time looks.
LOCK: Final = "settle"
#: Seconds that another one gets, and between two looks whether it has done.
PATIENCE_S: Final = 300.0
_LOOK_AGAIN_S: Final = 0.2


class Action(StrEnum):
    """What a live video needs."""

    #: Its run is alive, or it is too early to say.
    NOTHING = "nothing"
    #: Its run is gone from Prefect: ask for another.
    REQUEST = "request"
    #: Its run crashed: set it to scheduled.
    RESUME = "resume"
    #: Its run was taken by a worker that never started it, or lost its process, and no automation noticed: mark it crashed.
    CRASH = "crash"
    #: Its run was called crashed while Prefect heard nothing, and its process lives: set it back to running.
    REVIVE = "revive"
    #: Its run ended: mark it failed, for a person to rerun.
    FAIL = "fail"


#: Counters of what was done to a run. A run marked crashed is resumed, and counted, by the next pass.
_COUNTERS: Final = {
    Action.REQUEST: f"{counter.SET_RIGHT}requested",
    Action.RESUME: f"{counter.SET_RIGHT}resumed",
    Action.FAIL: f"{counter.SET_RIGHT}failed",
}

#: What a video needs whose run is so, and after how many seconds.
_NEEDS: Final[dict[StateType | None, tuple[Action, float]]] = {
    None: (Action.REQUEST, GRACE_S),
    StateType.PENDING: (Action.CRASH, STUCK_S),
    StateType.FAILED: (Action.FAIL, GRACE_S),
    StateType.CANCELLED: (Action.FAIL, GRACE_S),
    # Completed, and yet the row says otherwise: the row comes from a backup, or a rerun never reached Prefect.
    StateType.COMPLETED: (Action.RESUME, GRACE_S),
}

#: What a run is called when it is not what it was called; made each time, for a state knows its time.
_TRULY: Final[dict[StateType, Callable[[], State[Any]]]] = {
    StateType.PENDING: lambda: Crashed(message=NEVER_STARTED),
    StateType.RUNNING: lambda: Crashed(message=SILENT),
    StateType.CANCELLING: lambda: Cancelled(message="Its process is gone, and nobody else could say so."),
    StateType.CRASHED: lambda: Running(message="No heartbeat reached Prefect, but its process lives."),
}


def action_for(
    state: StateType | None, age_s: float, auto_resumes: int, alive_s: float = inf, *, is_guess: bool = False
) -> Action:
    """Decide what a video on its way, or one that is rerun, needs.

    Args:
        state: of its run; None when Prefect has no such run.
        age_s: seconds since the run entered that state, or since it was asked for.
        auto_resumes: automatic resumes since a person last asked.
        alive_s: seconds since the process of its newest attempt gave a sign of life.
        is_guess: it was called crashed because Prefect heard nothing of it; its worker reported no end of the process.
    """
    is_fresh = alive_s < FRESH_S
    if state is StateType.CRASHED:
        if is_guess and is_fresh:
            # After an outage of Prefect it calls every run so, before it has heard of them again.
            return Action.REVIVE if alive_s < age_s else Action.NOTHING
        if auto_resumes >= len(RESUME_AFTER_S):
            return Action.FAIL if age_s >= RESUME_AFTER_S[0] else Action.NOTHING
        return Action.RESUME if age_s >= RESUME_AFTER_S[auto_resumes] else Action.NOTHING
    if state in (StateType.RUNNING, StateType.CANCELLING):
        silent_s, after_s = (alive_s, LOST_S) if alive_s < age_s else (age_s, STUCK_S)
        return Action.CRASH if silent_s >= after_s else Action.NOTHING
    if state is StateType.FAILED and is_fresh:
        return Action.NOTHING  # its process is about to say why, or a person called it so while it works
    action, after_s = _NEEDS.get(state, (Action.NOTHING, 0.0))
    return action if age_s >= after_s else Action.NOTHING


def settle(settings: Settings, *, begun_only: bool = False) -> dict[Action, int]:
    """Look at every live video's run and do what it needs; count it, and give how often each action was taken.

    A video that Prefect refuses to help is logged and does not stop the others.

    Args:
        begun_only: leave out videos that wait for their first attempt, however many, unless its run has crashed; and
            leave all of them to another process that is looking.

    Raises:
        WorkflowUnavailable, DatabaseUnavailable: transient; the next call continues. Also when another process has been
            at it for minutes.
    """
    # No transaction is held meanwhile: after an outage a pass takes longer than Postgres lets one wait.
    with SessionLock(settings.database, LOCK) as lock:
        until = time.monotonic() + PATIENCE_S
        while not lock.held():
            if begun_only:
                return dict.fromkeys(Action, 0)
            if time.monotonic() > until:
                raise WorkflowUnavailable(f"Another process has settled runs for {PATIENCE_S:.0f} s: is it stopped?")
            Event().wait(_LOOK_AGAIN_S)
        return _settle_all(settings, begun_only=begun_only)


def _settle_all(settings: Settings, *, begun_only: bool) -> dict[Action, int]:
    taken = dict.fromkeys(Action, 0)
    last: UUID | None = None
    crashed = _crashed_runs() if begun_only else None
    while True:
        with transaction(settings.database) as session:
            videos = live_videos(session, last, BATCH, begun_or_of=crashed)
        runs = _read_runs([video.flow_run_id for video in videos if video.flow_run_id])
        for video in videos:
            action = _settle_one(settings, video, runs.get(video.flow_run_id) if video.flow_run_id else None)
            taken[action] += 1
        if len(videos) < BATCH:
            return taken
        last = videos[-1].video_id


def _settle_one(settings: Settings, video: LiveVideo, run: FlowRun | None) -> Action:
    state = run.state if run else None
    kind, age_s = standing(video, state)
    action = action_for(kind, age_s, video.auto_resumes, alive_s(video, kind), is_guess=is_guess(state))
    with bound(video_id=video.video_id, run_id=video.flow_run_id):
        try:
            if not _take(settings, action, video, run):
                return Action.NOTHING
        except WorkflowRefused as error:
            logger.warning("settle: video %s: %s: %s", video.video_id, action, error)
            return Action.NOTHING
    if action in _COUNTERS:
        with transaction(settings.database) as session:
            counter.add(session, _COUNTERS[action], 1)
    return action


def standing(video: LiveVideo, state: State[Any] | None) -> tuple[StateType | None, float]:
    """Give the state that counts, and the seconds for which it has been so."""
    since = state.timestamp if state else video.dispatched_at
    kind = state.type if state else None
    if video.rerun_at and since < video.rerun_at:
        since = video.rerun_at
        if state and state.is_final():
            # It ended before the rerun was asked for: Prefect was never told. As if it had ended too early.
            kind = StateType.COMPLETED
    return kind, (dt.datetime.now(dt.UTC) - since).total_seconds()


def alive_s(video: LiveVideo, kind: StateType | None) -> float:
    """Give the seconds since a sign of life; a running attempt that an older release began gives none, and counts as alive."""
    if video.alive_s is not None:
        return video.alive_s
    return 0.0 if video.attempt and kind is StateType.RUNNING else inf


def is_guess(state: State[Any] | None) -> bool:
    """Say whether a run was called crashed because Prefect heard nothing of it; its process may live."""
    return state is not None and state.message == SILENT


def _crashed_runs() -> list[UUID]:
    """Give the ingest runs that are crashed now, the newest first: few, as none stays so."""
    crashed = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED])))
    with prefect_client() as client:
        found = client.read_flow_runs(
            flow_filter=FlowFilter(name=FlowFilterName(any_=[INGEST])),
            flow_run_filter=crashed,
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=BATCH,
        )
    return [run.id for run in found]


def _read_runs(ids: Sequence[UUID]) -> dict[UUID, FlowRun]:
    if not ids:
        return {}
    with prefect_client() as client:
        found = client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(ids))), limit=BATCH)
    return {run.id: run for run in found}


def _take(settings: Settings, action: Action, video: LiveVideo, run: FlowRun | None) -> bool:
    if action is Action.REQUEST:
        request_again(settings, video.source_id, video.video_id, video.title, video.queue)
        return True
    if action is Action.RESUME and run is not None:
        # Counted before Prefect is asked: a crash in between costs one resume and never grants one too many.
        with transaction(settings.database) as session:
            mine = count_auto_resume(session, video.video_id, video.auto_resumes)
        return mine and reschedule(run.id)
    if action in (Action.CRASH, Action.REVIVE) and run is not None and run.state is not None:
        return set_right(run.id, run.state)
    if action is Action.FAIL and run is not None and run.state is not None:
        return _give_up(settings, video, run, run.state)
    return False


def set_right(run_id: UUID, state: State[Any]) -> bool:
    """Call a run what it truly is, which its state is known not to be; False when it has changed meanwhile.

    Raises:
        WorkflowUnavailable: transient.
        WorkflowRefused: permanent.
    """
    if not is_still(run_id, state):
        return False  # it said so itself, or a person was faster
    with prefect_client() as client:
        client.set_flow_run_state(run_id, _TRULY[state.type](), force=True)
    return True


def _give_up(settings: Settings, video: LiveVideo, run: FlowRun, state: State[Any]) -> bool:
    error_class = state.name or str(state.type)
    message = state.message or f"The run ended {state.name}."
    if state.type is StateType.CRASHED and not give_up(run.id, state, crashes=video.auto_resumes + 1):
        return False  # a person was faster
    with transaction(settings.database) as session:
        stage = ledger.stage_at_work(session, video.video_id)
        if stage is None and state.type is StateType.FAILED:
            # It failed in a stage, and could not say so itself: the ledger knows more than the state.
            known = ledger.last_failure(session, video.video_id, video.attempt)
            stage, error_class, message = known or (stage, error_class, message)
        moved = attempts.fail(
            session,
            video.video_id,
            stage=stage,
            error_class=error_class,
            message=message,
            attempt=video.attempt,
        )
        if moved:
            ledger.close_abandoned(session, video.video_id, before_attempt=video.attempt + 1)
    if moved:
        show_failure(settings, video.video_id, run.id, stage=stage, error_class=error_class, message=message)
    return moved
