"""The first task of every attempt: check the stores, take the video over, know who works on it."""

from uuid import UUID

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.results import get_result_store

from core import faults
from core.agreed import RESULT_BLOCK
from core.errors import MissingDependency
from core.settings import get_settings
from core.values import Ticket
from models import attempts, ledger
from models.session import ping, transaction
from storage.client import object_store
from tasks import scratch
from tasks.result_store import DailiesManifests
from tasks.retries import JITTER, STORES, is_transient
from tasks.stage import flow_run_id


@task(
    name="begin",
    task_run_name="begin {video_id}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=STORES.retries,
    retry_delay_seconds=STORES.delays_s,
    retry_jitter_factor=JITTER,
    retry_condition_fn=is_transient,
)
def begin(video_id: UUID) -> Ticket:
    """Check database and stores, then take the video over for this attempt.

    Prefect takes an unreachable result store for "nothing stored" and would do finished work again in silence;
    asking first turns an outage into a failure that is retried.

    Raises:
        DatabaseUnavailable, StorageUnavailable, ScratchFull: transient.
        NotFound, MissingDependency: permanent.
    """
    settings = get_settings()
    ping(settings.database)
    object_store(settings.storage).ping()
    require_manifest_store()
    with transaction(settings.database) as session:
        ticket = attempts.begin(session, video_id, flow_run_id())
        ledger.close_abandoned(session, video_id, before_attempt=ticket.attempt)
        faults.reached("begin", faults.Moment.BEFORE, video_id)
    faults.reached("begin", faults.Moment.AFTER, video_id)
    with scratch.full_disk():
        scratch.folder(ticket)
    return ticket


def require_manifest_store() -> None:
    """Check that Prefect keeps results where we do.

    Raises:
        MissingDependency: this process would keep them elsewhere, and nothing could be resumed (permanent).
    """
    if not isinstance(get_result_store().result_storage, DailiesManifests):
        raise MissingDependency(
            f"Results would be kept in the wrong place: set PREFECT_DEFAULT_RESULT_STORAGE_BLOCK={RESULT_BLOCK} "
            "for the worker, and run bootstrap."
        )
