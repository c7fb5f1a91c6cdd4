"""The tasks that change what people see: accepted, published, rejected."""

import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from sqlalchemy.orm import Session

from core import faults
from core.errors import TransientError
from core.fingerprint import Recipes
from core.settings import get_settings
from core.stages import Stage
from core.values import DetectedShots, Embedded, Stills, Ticket, Transcoded, ValidatedSource
from models import attempts, ledger, publication, recipes, spaces, stage_statistic
from models.session import transaction
from storage.chunk_media import remove_chunks
from storage.client import object_store
from tasks import report
from tasks.retries import JITTER, STORES, is_transient
from tasks.stage import OfStage, entered

#: Changes of rows are made again in every attempt: after a restore they come back, and nothing is ever "Cached".
NEVER_CACHED: Final[dict[str, Any]] = {
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": STORES.retries,
    "retry_delay_seconds": STORES.delays_s,
    "retry_jitter_factor": JITTER,
    "retry_condition_fn": is_transient,
}


@task(name="accept", task_run_name="accept {source.facts.video_codec} {source.facts.duration_s:.1f} s", **NEVER_CACHED)
@OfStage(Stage.VALIDATE)
def accept(ticket: Ticket, source: ValidatedSource) -> None:
    """Record what validation learned; the video is now processing."""
    with transaction(get_settings().database) as session:
        attempts.accept(session, ticket, source.sha256, source.size_bytes, source.facts)
        faults.reached("accept", faults.Moment.BEFORE, ticket.video_id)
    faults.reached("accept", faults.Moment.AFTER, ticket.video_id)


@task(name="publish", task_run_name="publish", **NEVER_CACHED)
def publish(
    ticket: Ticket,
    source: ValidatedSource,
    transcoded: Transcoded,
    detected: DetectedShots,
    stills: Stills,
    embedded: Sequence[Embedded],
) -> None:
    """Make renditions, scenes and vectors visible in one transaction; then chunks have served their time.

    Raises:
        Superseded: a newer attempt owns the video (permanent).
    """
    settings = get_settings()
    with entered(ticket, Stage.PUBLISH, None) as entry:
        filled = [(made.encoder, vectors_in(made)) for made in embedded]
        with transaction(settings.database) as session:
            publication.publish(
                session,
                ticket,
                transcoded,
                detected,
                stills,
                *filled[0],
                degraded=source.facts.degraded,
            )
            for encoder, vectors in filled[1:]:
                publication.add_vectors(session, ticket, detected.fingerprint, encoder, vectors)
            by = recipes.published_by(session, ticket.video_id, Recipes(settings), [each for each, _ in filled])
            note_times(session, ticket, embedded)
            recipes.record(session, ticket.video_id, by)
            # With the rows it tells of: a process that dies after the commit leaves no entry open for ever.
            ledger.finish(session, entry)
            faults.reached(Stage.PUBLISH, faults.Moment.BEFORE, ticket.video_id)
        faults.reached(Stage.PUBLISH, faults.Moment.AFTER, ticket.video_id)
    _remove_chunks(ticket)
    with report.best_effort():
        report.indexed(ticket, source, transcoded, detected, stills)


def note_times(session: Session, ticket: Ticket, embedded: Iterable[Embedded]) -> None:
    """Keep how long each encoder took in this attempt, for estimates of what it will take; what was reused took nothing."""
    for made in embedded:
        if made.took_s is None or not ledger.was_executed(session, ticket, Stage.EMBED, made.fingerprint):
            continue
        space = spaces.find_space(session, made.encoder)
        if space is not None:
            stage_statistic.note_embedding(session, space.id, made.took_s)


def vectors_in(embedded: Embedded) -> list[list[float]]:
    """Read the vectors of an embed stage."""
    settings = get_settings().storage
    content = object_store(settings).read(settings.derived_bucket, embedded.vectors.key)
    rows: list[list[float]] = np.load(io.BytesIO(content), allow_pickle=False).tolist()
    return rows


@task(name="reject", task_run_name="reject: {reason}", **NEVER_CACHED)
def reject(ticket: Ticket, reason: str, sentence: str, stage: str | None) -> None:
    """Record the verdict on bad media, for the uploader; of an indexed video, that doing this stage again failed."""
    with transaction(get_settings().database) as session:
        attempts.reject(session, ticket, reason, sentence, stage)
        faults.reached("reject", faults.Moment.BEFORE, ticket.video_id)
    faults.reached("reject", faults.Moment.AFTER, ticket.video_id)
    _remove_chunks(ticket)
    with report.best_effort():
        report.rejected(ticket, reason, sentence)


def _remove_chunks(ticket: Ticket) -> None:
    """Remove the pieces of chunks with their results; when it cannot, reconcile does it later."""
    settings = get_settings()
    try:
        remove_chunks(object_store(settings.storage), ticket.video_id, up_to_attempt=ticket.attempt)
        with transaction(settings.database) as session:
            attempts.forget_chunks(session, ticket.video_id, ticket.attempt)
    except TransientError as error:
        get_run_logger().warning("pieces of chunks are left to the next reconcile: %s", error)
