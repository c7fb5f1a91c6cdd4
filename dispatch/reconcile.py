"""Reconcile: find everything that was lost between bucket, inbox, database and Prefect, and set it right.

The same function runs as a scheduled flow and inside the service, so that it works when Prefect does not, and when
uploads fill the worker.
"""

import datetime as dt
import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Final

from pydantic import BaseModel

from core.errors import DailiesError, NotFound, WorkflowUnavailable
from core.settings import Settings
from dispatch.inbox import dispatch_waiting
from dispatch.leftovers import sweep_leftovers
from dispatch.lost import find_lost
from dispatch.redrive import advance
from dispatch.settle import Action, settle
from models import counter
from models.reconciling import expire_uploads
from models.session import transaction
from models.session_lock import SessionLock
from storage.client import object_store

logger = logging.getLogger(__name__)

#: One reconcile at a time, whoever runs it.
LOCK: Final = "reconcile"
#: Time an announced upload, or one begun in parts, may take beyond the life of its URL.
UPLOAD_PATIENCE: Final = dt.timedelta(hours=24)
#: Bootstrap of a Prefect that lost its database takes about five seconds.
BOOTSTRAP_TIMEOUT_S: Final = 120


#: No recoveries, or counted by settle and advance themselves, which the service calls far more often than this.
_COUNTED_ELSEWHERE: Final = {"older_objects", "problems", "requested", "resumed", "failed", "redriven"}


class Recovered(BaseModel):
    """What one reconcile set right; each number also goes into a counter of the same name."""

    #: Inbox rows that had no run.
    dispatched: int = 0
    #: Objects nobody announced.
    unannounced: int = 0
    #: Objects older than the installation that were taken in, and those left alone.
    adopted: int = 0
    older_objects: int = 0
    #: Runs made in place of ones Prefect lost, crashed runs resumed, videos marked failed.
    requested: int = 0
    resumed: int = 0
    failed: int = 0
    #: Reruns of a redrive whose turn it was.
    redriven: int = 0
    #: Announced uploads that never came, and multipart uploads that were never finished.
    expired: int = 0
    aborted_multiparts: int = 0
    #: Files that dead attempts left in the derived bucket.
    swept_files: int = 0
    #: Steps that could not be done this time, in plain words.
    problems: list[str] = []


def reconcile(settings: Settings) -> Recovered | None:
    """Run every step; give what was set right, or None when another process is at it.

    A step that fails is reported and does not stop the others.
    """
    # No transaction is held meanwhile: a bucket in which much was lost takes longer than Postgres lets one wait.
    with SessionLock(settings.database, LOCK) as lock:
        if not lock.held():
            return None
        result = Recovered()
        for step in (_find_lost, _dispatch, _settle, _redrive, _expire, _abort_multiparts, _sweep):
            _attempt(step, settings, result)
        with transaction(settings.database) as session:
            for name, value in result.model_dump(exclude=_COUNTED_ELSEWHERE).items():
                counter.add(session, f"{counter.SET_RIGHT}{name}", value)
    return result


def set_right_so_far(settings: Settings) -> dict[str, int]:
    """Give what was set right since the installation, by name, whoever did it: mostly the service, between two runs."""
    with transaction(settings.database) as session:
        return counter.values(session, counter.SET_RIGHT)


def _attempt(step: Callable[[Settings, Recovered], None], settings: Settings, result: Recovered) -> None:
    try:
        step(settings, result)
    except DailiesError as error:
        logger.warning("reconcile: %s: %s", step.__name__.strip("_"), error)
        result.problems.append(str(error))
    except Exception as error:
        # A bug in one step must not keep the others from finding what was lost.
        logger.exception("reconcile: %s", step.__name__.strip("_"))
        result.problems.append(f"{step.__name__.strip('_')}: {type(error).__name__}: {error}")


def _find_lost(settings: Settings, result: Recovered) -> None:
    found = find_lost(settings)
    result.unannounced, result.adopted, result.older_objects = found.recovered, found.adopted, found.older
    if found.unreadable:
        result.problems.append(
            f"{found.unreadable} objects of the uploads bucket cannot be looked at; the log names them."
        )


def _dispatch(settings: Settings, result: Recovered) -> None:
    try:
        result.dispatched = dispatch_waiting(settings)
    except NotFound:
        # Prefect's database was dropped and recreated: it knows neither pool nor deployments.
        bootstrap_again()
        result.dispatched = dispatch_waiting(settings)


def _settle(settings: Settings, result: Recovered) -> None:
    try:
        taken = settle(settings)
    except NotFound:
        bootstrap_again()
        taken = settle(settings)
    result.requested, result.resumed, result.failed = (
        taken[Action.REQUEST],
        taken[Action.RESUME],
        taken[Action.FAIL],
    )


def _redrive(settings: Settings, result: Recovered) -> None:
    result.redriven = advance(settings)


def _expire(settings: Settings, result: Recovered) -> None:
    before = dt.datetime.now(dt.UTC) - settings.storage.upload_url_life - UPLOAD_PATIENCE
    with transaction(settings.database) as session:
        result.expired = expire_uploads(session, before)


def _abort_multiparts(settings: Settings, result: Recovered) -> None:
    before = dt.datetime.now(dt.UTC) - settings.storage.upload_url_life - UPLOAD_PATIENCE
    store = object_store(settings.storage)
    # Ours too: a process that is killed while it stores a large rendition leaves one in the derived bucket.
    buckets = (settings.storage.uploads_bucket, settings.storage.derived_bucket)
    result.aborted_multiparts = sum(store.abort_stale_uploads(bucket, before) for bucket in buckets)


def _sweep(settings: Settings, result: Recovered) -> None:
    swept = sweep_leftovers(settings)
    result.swept_files = swept.files
    if swept.unreadable:
        result.problems.append(
            f"Leftovers of {swept.unreadable} videos stay: a result cannot be read; the log names them."
        )


def bootstrap_again() -> None:
    """Make pool, queues and deployments anew, in a process of its own: bootstrap stands above this layer.

    Raises:
        NotFound: it did not succeed; its last line says why (permanent until mended).
        WorkflowUnavailable: it took too long (transient).
    """
    command = [sys.executable, "-m", "deployments.bootstrap"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=BOOTSTRAP_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise WorkflowUnavailable(f"Bootstrap took more than {BOOTSTRAP_TIMEOUT_S} s.") from error
    if done.returncode:
        last = (done.stderr.strip() or "it did not say why").splitlines()[-1]
        raise NotFound(f"Prefect has lost its deployments, and bootstrap could not make them again: {last}")
