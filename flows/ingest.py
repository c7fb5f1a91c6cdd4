"""From an uploaded object to searchable scenes."""

from prefect import flow, unmapped

from core.values import Ticket
from core.version import VERSION
from flows.outcome import note_failure, rejects_invalid_media
from flows.runner import placed, task_runner
from flows.side_by_side import ended
from tasks.analysis import detect_shots, embed_scenes, make_stills
from tasks.assembling import assemble
from tasks.publishing import accept, publish
from tasks.spaces import open_spaces
from tasks.transcoding import encode_sound, plan_chunks, transcode_chunk
from tasks.validation import validate


# No flow retries: a run that crashed inside one is never picked up again after Retry in the UI.
@flow(
    name="ingest-video",
    version=VERSION,
    retries=0,
    on_failure=[note_failure],
    task_runner=task_runner(),
)
@rejects_invalid_media
def ingest_video(ticket: Ticket) -> None:
    """Validate, transcode, find shots, make stills, embed and publish one uploaded video."""
    source = placed(validate)(ticket)
    accept(ticket, source)
    chunks = plan_chunks(ticket, source)
    sound = encode_sound.submit(ticket, source)
    pieces = transcode_chunk.map(unmapped(ticket), unmapped(source), chunks)
    ended(sound, *pieces)
    transcoded = placed(assemble)(ticket, source, pieces.result(), sound.result())
    detected = placed(detect_shots)(ticket, transcoded)
    stills = placed(make_stills)(ticket, transcoded, detected)
    embedded = [placed(embed_scenes)(ticket, transcoded, detected, encoder) for encoder in open_spaces(ticket)]
    publish(ticket, source, transcoded, detected, stills, embedded)
