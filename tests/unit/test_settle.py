"""What a live video needs, from the state of its run."""

import pytest
from prefect.client.schemas.objects import StateType

from dispatch.settle import GRACE_S, RESUME_AFTER_S, Action, action_for

LATER = 10_000.0
TABLE = [
    # state of the run, seconds in it, automatic resumes so far, what is done
    (None, 0.0, 0, Action.NOTHING),
    (None, GRACE_S, 0, Action.REQUEST),
    (StateType.SCHEDULED, LATER, 0, Action.NOTHING),
    (StateType.PENDING, LATER, 0, Action.NOTHING),
    (StateType.RUNNING, LATER, 3, Action.NOTHING),
    (StateType.PAUSED, LATER, 0, Action.NOTHING),
    (StateType.CANCELLING, LATER, 0, Action.NOTHING),
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


def test_delays_before_automatic_resumes_grow():
    assert list(RESUME_AFTER_S) == sorted(set(RESUME_AFTER_S))
    assert len(RESUME_AFTER_S) == 3


def test_every_state_prefect_knows_has_an_answer():
    assert all(isinstance(action_for(state, LATER, 0), Action) for state in StateType)
