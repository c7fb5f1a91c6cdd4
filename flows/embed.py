"""One more embedding space for one video: what a switch of encoder does to everything that is indexed."""

from uuid import UUID

from prefect import flow

from core.version import VERSION
from tasks import scratch
from tasks.analysis import embed_scenes
from tasks.spaces import add_vectors, read_published


@flow(name="embed-video", version=VERSION, flow_run_name="embed-{video_id}-for-{space}", retries=0)
def embed_video(video_id: UUID, space: str) -> None:
    """Embed an indexed video by a space's encoder, from its proxy; source, status and scenes stay as they are.

    Args:
        video_id: the indexed video, by its id.
        space: number or name, as `dailies encoders` shows them.
    """
    published = read_published(video_id, space)
    try:
        embedded = embed_scenes(published.ticket, published.transcoded, published.detected, published.encoder)
        add_vectors(published.ticket, published.detected, embedded)
    finally:
        scratch.clear(published.ticket)
