"""What a live video needs, from the state of its run."""

import datetime as dt
from math import inf
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import State, StateType

from dispatch.settle import FRESH_S, GRACE_S, LOST_S, RESUME_AFTER_S, STUCK_S, Action, action_for, alive_s, standing
from models.reconciling import LiveVideo
from models.states import Queue

LATER = 10_000.0
TABLE = [
    # state of the run, seconds in it, automatic resumes so far, what is done
    (None, 0.0, 0, Action.NOTHING),
    (None, GRACE_S, 0, Action.REQUEST),
    (StateType.SCHEDULED, LATER, 0, Action.NOTHING),
    (StateType.PENDING, STUCK_S - 1, 0, Action.NOTHING),
    (StateType.PENDING, STUCK_S, 0, Action.CRASH),  # its worker died before it started
    (StateType.RUNNING, STUCK_S - 1, 3, Action.NOTHING),
    (StateType.RUNNING, STUCK_S, 3, Action.CRASH),  # its process died before it began
    (StateType.CANCELLING, STUCK_S - 1, 0, Action.NOTHING),
    (StateType.CANCELLING, STUCK_S, 0, Action.CRASH),  # the worker that was to end it died
    (StateType.PAUSED, LATER, 0, Action.NOTHING),
    (StateType.CRASHED, 2.5, 0, Action.NOTHING),  # Prefect may still report the crash a second time
    (StateType.CRASHED, RESUME_AFTER_S[0], 0, Action.RESUME),
    (StateType.CRASHED, RESUME_AFTER_S[0], 1, Action.NOTHING),
    (StateType.CRASHED, RESUME_AFTER_S[1], 1, Action.RESUME),
    (StateType.CRASHED, RESUME_AFTER_S[2], 2, Action.RESUME),
    (StateType.CRASHED, 2.5, 3, Action.NOTHING),
    (StateType.CRASHED, RESUME_AFTER_S[0], 3, Action.FAIL),
    (StateType.FAILED, 0.0, 0, Action.NOTHING),
    (StateType.FAILED, GRACE_S, 0, Action.FAIL),
    (StateType.CANCELLED, GRACE_S, 0, Action.FAIL),
    (StateType.COMPLETED, 0.0, 0, Action.NOTHING),
    (StateType.COMPLETED, GRACE_S, 0, Action.RESUME),
]


@pytest.mark.parametrize(("state", "age_s", "resumes", "expected"), TABLE)
def test_a_live_video_gets_what_its_run_lacks(state: StateType | None, age_s: float, resumes: int, expected: Action):
    assert action_for(state, age_s, resumes) is expected


SIGNS = [
    # state of the run, seconds in it, seconds since the last sign of life, whether only silence says so, what is done
    (StateType.RUNNING, LATER, 0.0, False, Action.NOTHING),
    (StateType.RUNNING, LATER, LOST_S - 1, False, Action.NOTHING),
    (StateType.RUNNING, LATER, LOST_S, False, Action.CRASH),  # and no automation noticed
    (StateType.RUNNING, STUCK_S - 1, LATER, False, Action.NOTHING),  # the sign is of the attempt before
    (StateType.RUNNING, STUCK_S, LATER, False, Action.CRASH),
    (StateType.CANCELLING, LATER, LOST_S, False, Action.CRASH),
    # Its worker saw it end, a second after its last sign.
    (StateType.CRASHED, RESUME_AFTER_S[0], RESUME_AFTER_S[0] + 1.0, False, Action.RESUME),
    # Prefect was away and heard nothing: perhaps it lives.
    (StateType.CRASHED, RESUME_AFTER_S[0], RESUME_AFTER_S[0] + 1.0, True, Action.NOTHING),
    (StateType.CRASHED, LATER, FRESH_S - 1, True, Action.REVIVE),
    (StateType.CRASHED, RESUME_AFTER_S[0], 1.0, True, Action.REVIVE),
    (StateType.CRASHED, RESUME_AFTER_S[0], FRESH_S, True, Action.RESUME),
    (StateType.FAILED, GRACE_S, GRACE_S + 1.0, False, Action.NOTHING),  # its process is about to say why
    (StateType.FAILED, GRACE_S, FRESH_S, False, Action.FAIL),
    (StateType.CANCELLED, GRACE_S, 0.0, False, Action.FAIL),  # a person wants it so
]


@pytest.mark.parametrize(("state", "age_s", "alive", "is_guess", "expected"), SIGNS)
def test_signs_of_life_are_believed_before_what_prefect_concludes(
    state: StateType, age_s: float, alive: float, is_guess: bool, expected: Action
):
    assert action_for(state, age_s, 0, alive, is_guess=is_guess) is expected


def test_a_running_attempt_that_an_older_release_began_counts_as_alive():
    older = rerun(LATER)
    assert alive_s(older, StateType.RUNNING) == 0.0
    assert alive_s(older, StateType.CRASHED) == inf
    assert alive_s(older.model_copy(update={"attempt": 0}), StateType.RUNNING) == inf


def test_delays_before_automatic_resumes_grow():
    assert list(RESUME_AFTER_S) == sorted(set(RESUME_AFTER_S))
    assert len(RESUME_AFTER_S) == 3


def test_every_state_prefect_knows_has_an_answer():
    assert all(isinstance(action_for(state, LATER, 0), Action) for state in StateType)


def ago(seconds: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds)


def rerun(asked_s_ago: float) -> LiveVideo:
    """A video whose rerun was asked for so long ago."""
    return LiveVideo(
        video_id=uuid4(),
        title="t",
        source_id=uuid4(),
        attempt=1,
        flow_run_id=uuid4(),
        auto_resumes=0,
        alive_s=None,
        rerun_at=ago(asked_s_ago),
        queue=Queue.UPLOADS,
        dispatched_at=ago(LATER),
    )


def ended(kind: StateType, s_ago: float) -> State[None]:
    return State(type=kind, timestamp=ago(s_ago))


@pytest.mark.parametrize("kind", [StateType.FAILED, StateType.COMPLETED, StateType.CANCELLED, StateType.CRASHED])
def test_a_rerun_that_never_reached_prefect_is_asked_for_again(kind: StateType):
    before = ended(kind, LATER)
    assert action_for(*standing(rerun(1.0), before), 0) is Action.NOTHING, "it may be on its way"
    assert action_for(*standing(rerun(GRACE_S + 1), before), 0) is Action.RESUME


def test_a_rerun_that_failed_is_over_and_one_that_crashed_resumes():
    asked = rerun(LATER)
    assert action_for(*standing(asked, ended(StateType.FAILED, GRACE_S + 1)), 0) is Action.FAIL
    assert action_for(*standing(asked, ended(StateType.CRASHED, RESUME_AFTER_S[0] + 1)), 0) is Action.RESUME
    assert action_for(*standing(asked, None), 0) is Action.REQUEST
    assert action_for(*standing(rerun(1.0), None), 0) is Action.NOTHING
