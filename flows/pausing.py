"""Pause in the Prefect UI, for flows that work through a long list: Prefect itself only keeps what has not begun."""

from prefect.context import FlowRunContext
from prefect.exceptions import Pause

from dispatch.runs import state_of


def stop_if_paused() -> None:
    """End this process if somebody paused its run; Resume in the UI starts the flow again, which finds its place.

    Raises:
        Pause: Prefect's way of leaving a run as it is.
        WorkflowUnavailable: transient.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    state = state_of(context.flow_run.id)
    if state is not None and state.is_paused():
        raise Pause(state=state)
