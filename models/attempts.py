"""Attempts: who may change a video, and the moves of its status; every write is guarded by the attempt token."""

import datetime as dt
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, joinedload

from core.errors import NotFound, Superseded
from core.failures import error_fingerprint
from core.stages import Stage
from core.values import MediaFacts, Ticket
from models import recipes
from models.source_object import SourceObject
from models.stage_run import StageGeneration
from models.states import LIVE_STATUSES, VideoStatus
from models.video import Video


def begin(session: Session, video_id: UUID, flow_run_id: UUID | None) -> Ticket:
    """Take the video over for a new attempt and give its ticket; older attempts can no longer write.

    A video that is indexed stays indexed: a rerun or a backfill of it moves no state.

    Raises:
        NotFound: there is no such video, or it has no object yet (permanent).
    """
    video = session.scalar(
        select(Video).where(Video.id == video_id).options(joinedload(Video.source)).with_for_update(of=Video)
    )
    if video is None:
        raise NotFound(f"There is no video {video_id}.")
    if video.source is None:
        raise NotFound(f"Video {video_id} was announced, but nothing has been uploaded for it yet.")
    video.attempt += 1
    if video.status not in LIVE_STATUSES and video.rerun_at is None:
        # A person pressed Retry in the Prefect UI: as `ask` notes it for every other door.
        ask(video)
    video.flow_run_id = flow_run_id or video.flow_run_id
    video.alive_at, video.alive_attempt = func.now(), video.attempt
    if video.status is not VideoStatus.INDEXED:
        _forget_outcome(video)
        video.status = VideoStatus.VALIDATING
    session.flush()
    return _ticket(session, video, video.source)


def beside(session: Session, video_id: UUID) -> Ticket:
    """Give a ticket for work beside the attempt that published the video: it takes nothing over and moves no status.

    Raises:
        NotFound: there is no such video, or it was never published (permanent).
    """
    video = session.scalar(select(Video).where(Video.id == video_id).options(joinedload(Video.source)))
    if video is None or video.source is None or video.indexed_at is None:
        raise NotFound(f"There is no indexed video {video_id}.")
    return _ticket(session, video, video.source)


def _ticket(session: Session, video: Video, source: SourceObject) -> Ticket:
    return Ticket(
        video_id=video.id,
        owner_id=video.owner_id,
        source=source.as_version(),
        attempt=video.attempt,
        generations=_generations(session, video.id),
    )


def _generations(session: Session, video_id: UUID) -> dict[Stage, int]:
    rows = session.execute(
        select(StageGeneration.stage, StageGeneration.generation).where(StageGeneration.video_id == video_id)
    )
    return {stage: generation for stage, generation in rows}  # noqa: C416 - rows to a dict


def ask(video: Video) -> None:
    """Note that a person wants another attempt: crashes are counted anew, and the rerun is followed until it ends."""
    video.auto_resumes = 0
    if video.status not in LIVE_STATUSES:
        video.rerun_at = dt.datetime.now(dt.UTC)


def ended(video: Video) -> None:
    """Note that an attempt has come to an end: nobody waits for a rerun any more."""
    video.rerun_at = video.redrive_at = None


def done(session: Session, ticket: Ticket, video: Video) -> None:
    """Note that an attempt has published; a stage that a person wants redone since it began is yet to be redone."""
    ended(video)
    if _generations(session, video.id) != ticket.generations:
        ask(video)


def _forget_outcome(video: Video) -> None:
    video.reject_reason = video.reject_sentence = None
    video.error_stage = video.error_class = video.error_message = video.error_fingerprint = None


def owned(session: Session, ticket: Ticket) -> Video:
    """Lock the video for this attempt.

    Raises:
        Superseded: a newer attempt owns it, or it was deleted (permanent).
    """
    video = session.scalar(
        select(Video).where(Video.id == ticket.video_id, Video.attempt == ticket.attempt).with_for_update()
    )
    if video is None:
        raise Superseded(f"A newer attempt owns video {ticket.video_id}; attempt {ticket.attempt} changes nothing.")
    return video


def require_newest(session: Session, ticket: Ticket) -> None:
    """Let only the newest attempt begin more work; nothing is locked, so what it writes asks again.

    Raises:
        Superseded: a newer attempt owns the video, or it was deleted (permanent).
    """
    newest = session.scalar(select(Video.attempt).where(Video.id == ticket.video_id))
    if newest != ticket.attempt:
        raise Superseded(f"A newer attempt owns video {ticket.video_id}; attempt {ticket.attempt} changes nothing.")


def owned_and_open(session: Session, ticket: Ticket) -> Video:
    """Lock the video for this attempt, which has not ended: after a verdict or an error only `begin` goes on.

    Raises:
        Superseded: a newer attempt owns it, it was deleted, or this attempt has ended (permanent).
    """
    video = owned(session, ticket)
    if video.status not in (*LIVE_STATUSES, VideoStatus.INDEXED):
        raise Superseded(f"Attempt {ticket.attempt} at video {ticket.video_id} has ended: it is {video.status}.")
    return video


def sign_of_life(session: Session, ticket: Ticket) -> bool:
    """Note that this attempt's process lives; False once a newer attempt owns the video, or it was deleted."""
    signed = session.execute(
        update(Video)
        .where(Video.id == ticket.video_id, Video.attempt == ticket.attempt)
        # That is no change of the video.
        .values(alive_at=func.clock_timestamp(), updated_at=Video.updated_at)
        .returning(Video.id)
    )
    return signed.first() is not None


def accept(session: Session, ticket: Ticket, sha256: str, size_bytes: int, facts: MediaFacts) -> None:
    """Record what validation learned and move on to processing."""
    video = owned_and_open(session, ticket)
    video.sha256, video.size_bytes = sha256, size_bytes
    video.container, video.frame_rate = facts.container, str(facts.frame_rate)
    video.width, video.height = facts.width, facts.height
    video.video_codec, video.audio_codec = facts.video_codec, facts.audio_codec
    if video.status is not VideoStatus.INDEXED:
        video.duration_s = facts.duration_s
        video.status = VideoStatus.PROCESSING


def reject(session: Session, ticket: Ticket, reason: str, sentence: str, stage: str | None = None) -> None:
    """Record the verdict on bad media, again when the first answer was lost; an indexed video stays so.

    Args:
        stage: where it was found; coverage counts an indexed video as failed there.
    """
    video = owned(session, ticket)
    if video.status is VideoStatus.REJECTED:
        return
    video = owned_and_open(session, ticket)
    ended(video)
    if video.status is not VideoStatus.INDEXED:
        video.status = VideoStatus.REJECTED
        video.reject_reason, video.reject_sentence = reason, sentence
    elif stage is not None:
        recipes.note_failure(session, ticket.video_id, Stage(stage))
    video.has_chunks = True


def forget_chunks(session: Session, video_id: UUID, attempt: int) -> None:
    """Note that no pieces of chunks are left of this attempt and those before it."""
    session.execute(update(Video).where(Video.id == video_id, Video.attempt == attempt).values(has_chunks=False))


def fail(
    session: Session,
    video_id: UUID,
    *,
    stage: str | None,
    error_class: str,
    message: str,
    attempt: int | None,
    flow_run_id: UUID | None = None,
) -> bool:
    """Record an error that waits for a rerun; say whether anything changed.

    A video that had ended keeps its status: only the rerun of it is over, until the next one is asked for.

    Args:
        attempt: the attempt that failed; None records it whatever the attempt (the run's end is known).
        flow_run_id: the run that failed, when it is known: another run's video is left alone.
    """
    query = select(Video).where(Video.id == video_id).with_for_update()
    if attempt is not None:
        query = query.where(Video.attempt == attempt)
    if flow_run_id is not None:
        query = query.where(Video.flow_run_id == flow_run_id)
    video = session.scalar(query)
    if video is None or not (video.status in LIVE_STATUSES or video.rerun_at):
        return False
    ended(video)
    if video.status in (*LIVE_STATUSES, VideoStatus.FAILED):
        # Failed already: its rerun died before it began, and that is the error which waits now.
        video.status = VideoStatus.FAILED
        video.error_stage, video.error_class, video.error_message = stage, error_class, message
        video.error_fingerprint = error_fingerprint(stage, error_class, message)
    elif stage is not None and stage in {*Stage}:
        recipes.note_failure(session, video_id, Stage(stage))
    return True
