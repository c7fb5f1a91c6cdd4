"""From an uploaded object to searchable scenes."""

from prefect import flow

from core.values import Ticket
from flows.outcome import note_failure, rejects_invalid_media
from tasks.analysis import detect_shots, embed_scenes, make_stills
from tasks.publishing import accept, publish
from tasks.transcoding import transcode
from tasks.validation import validate


# No flow retries: a run that crashed inside one is never picked up again after Retry in the UI.
@flow(name="ingest-video", retries=0, on_failure=[note_failure])
@rejects_invalid_media
def ingest_video(ticket: Ticket) -> None:
    """Validate, transcode, find shots, make stills, embed and publish one uploaded video."""
    source = validate(ticket)
    accept(ticket, source)
    transcoded = transcode(ticket, source)
    detected = detect_shots(ticket, transcoded)
    stills = make_stills(ticket, transcoded, detected)
    embedded = embed_scenes(ticket, transcoded, detected)
    publish(ticket, source, transcoded, detected, stills, embedded)
