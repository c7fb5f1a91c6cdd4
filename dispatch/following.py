"""Following the runs that a backfill asked for: which have ended, which crashed and go on, what came of them."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State, StateType

from core.agreed import REJECTED
from core.settings import Settings
from dispatch.planning import Target
from dispatch.runs import give_up, prefect_client, reschedule
from dispatch.settle import Action, action_for, is_guess
from models import Video, recipes
from models.session import transaction
from models.states import LIVE_STATUSES

#: Seconds that a run has to end by itself when it was called crashed because Prefect heard nothing: after an outage of
#: Prefect most of these are at work.
GUESS_S: Final = 120.0
#: Ids in one question to Prefect.
_IDS: Final = 200


@dataclass
class Asked:
    """A run that was asked for and has not ended."""

    video_id: UUID
    #: Times that it crashed and was resumed from here.
    resumes: int = 0


def states_of(run_ids: Sequence[UUID]) -> dict[UUID, State[Any]]:
    """Give the states of runs; one that Prefect no longer has is left out.

    Raises:
        WorkflowUnavailable: transient.
    """
    found: dict[UUID, State[Any]] = {}
    with prefect_client() as client:
        for first in range(0, len(run_ids), _IDS):
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=list(run_ids[first : first + _IDS])))
            found |= {
                run.id: run.state for run in client.read_flow_runs(flow_run_filter=wanted, limit=_IDS) if run.state
            }
    return found


def has_ended(
    settings: Settings, aim: Target, run_id: UUID, asked: Asked, state: State[Any] | None, now: dt.datetime
) -> bool:
    """Say whether nothing more will come of a run; one that crashed is resumed, three times, unless `settle` does it.

    Raises:
        WorkflowUnavailable, DatabaseUnavailable: transient.
    """
    if state is None or state.type is not StateType.CRASHED:
        return state is None or state.is_final()
    if aim.space is None and (other := _worked_on_by(settings, asked.video_id)) is not None:
        # `settle` resumes it, or marks it failed; another run that took the video over is no business of ours.
        return other != run_id
    age_s = (now - state.timestamp).total_seconds() - (GUESS_S if is_guess(state) else 0.0)
    action = action_for(StateType.CRASHED, age_s, asked.resumes)
    if action is Action.RESUME:
        reschedule(run_id)
        asked.resumes += 1
    elif action is Action.FAIL:
        give_up(run_id, state, crashes=asked.resumes + 1)
    return action is Action.FAIL


def _worked_on_by(settings: Settings, video_id: UUID) -> UUID | None:
    """Give the run that `settle` sees a video through by; None when it does not look after it."""
    with transaction(settings.database) as session:
        video = session.get(Video, video_id)
        if video is None or not (video.rerun_at or video.status in LIVE_STATUSES):
            return None
        return video.flow_run_id


def note_ended(settings: Settings, aim: Target, ended: Mapping[UUID, State[Any] | None]) -> set[UUID]:
    """Give the videos that have the recipe now; the others count as failed in the coverage from now on.

    A run that ended well by another recipe, such as that of a worker with older settings, is no failure of the video.

    Args:
        ended: the states that the runs of these videos ended in.
    """
    with transaction(settings.database) as session:
        done = recipes.up_to_date(session, aim.column, aim.recipe, list(ended))
        for video_id, state in ended.items():
            if video_id not in done and state is not None and _went_wrong(state):
                recipes.note_failure(session, video_id, aim.column.stage, aim.column.encoder_id)
    return done


def _went_wrong(state: State[Any]) -> bool:
    return not state.is_completed() or state.name == REJECTED
