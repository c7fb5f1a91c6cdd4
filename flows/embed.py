"""One more embedding space for one video: what a switch of encoder does to everything that is indexed."""

from typing import Any
from uuid import UUID

from prefect import Flow, flow
from prefect.client.schemas.objects import FlowRun, State

from core.errors import Superseded
from core.version import VERSION
from flows.outcome import overtaken
from flows.runner import clear_scratch, placed, task_runner
from tasks.analysis import embed_scenes
from tasks.spaces import add_vectors, note_failure, read_published


def note_unfilled(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - Prefect's signature
    """Let coverage and `dailies why` tell of a space that could not be filled for a video."""
    note_failure(UUID(str(flow_run.parameters["video_id"])), str(flow_run.parameters["space"]))


@flow(
    name="embed-video",
    version=VERSION,
    flow_run_name="embed-{video_id}-for-{space}",
    retries=0,
    on_failure=[note_unfilled],
    task_runner=task_runner(),
)
def embed_video(video_id: UUID, space: str) -> State[Any] | None:
    """Embed an indexed video by a space's encoder, from its proxy; source, status and scenes stay as they are.

    Overtaken by a new attempt at the video, it ends as Superseded: that attempt fills every space whose encoder it has.

    Args:
        video_id: the indexed video, by its id.
        space: number or name, as `dailies encoders` shows them.
    """
    published = read_published(video_id, space)
    try:
        embedded = placed(embed_scenes)(published.ticket, published.transcoded, published.detected, published.encoder)
        add_vectors(published.ticket, published.detected, embedded)
    except Superseded as error:
        return overtaken(error)
    finally:
        clear_scratch(published.ticket)
    return None
