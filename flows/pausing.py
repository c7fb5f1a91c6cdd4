"""What the Prefect UI says of a run that works through a long list: Prefect itself only keeps what has not begun."""

from prefect.context import FlowRunContext
from prefect.exceptions import Pause

from dispatch.runs import state_of
from dispatch.settle import is_guess, set_right


def heed_own_state() -> None:
    """End this process if somebody paused its run; Resume in the UI starts the flow again, which finds its place.

    A run that Prefect takes for dead, as it does with every run after an outage of its own, is set back to running:
    it could not be paused otherwise, and Retry would start it twice.

    Raises:
        Pause: Prefect's way of leaving a run as it is.
        WorkflowUnavailable: transient.
        WorkflowRefused: Prefect no longer has the run, and so nobody can watch or pause it (permanent).
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    state = state_of(context.flow_run.id)
    if state is None:
        return
    if state.is_paused():
        raise Pause(state=state)
    if state.is_crashed() and is_guess(state):
        set_right(context.flow_run.id, state)
