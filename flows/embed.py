"""One more embedding space for one video: what a switch of encoder does to everything that is indexed."""

from uuid import UUID

from prefect import flow

from core.version import VERSION
from flows.runner import clear_scratch, placed, task_runner
from tasks.analysis import embed_scenes
from tasks.spaces import add_vectors, read_published


@flow(
    name="embed-video",
    version=VERSION,
    flow_run_name="embed-{video_id}-for-{space}",
    retries=0,
    task_runner=task_runner(),
)
def embed_video(video_id: UUID, space: str) -> None:
    """Embed an indexed video by a space's encoder, from its proxy; source, status and scenes stay as they are.

    Args:
        video_id: the indexed video, by its id.
        space: number or name, as `dailies encoders` shows them.
    """
    published = read_published(video_id, space)
    try:
        embedded = placed(embed_scenes)(published.ticket, published.transcoded, published.detected, published.encoder)
        add_vectors(published.ticket, published.detected, embedded)
    finally:
        clear_scratch(published.ticket)
