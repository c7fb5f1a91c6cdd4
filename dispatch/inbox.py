"""From inbox rows to runs: after every event, and again by every sweep until Prefect has accepted each one."""

import logging
from uuid import UUID

from core.errors import WorkflowRefused
from core.logs import bound
from core.settings import Settings
from dispatch.runs import request_run
from models import inbox
from models.session import transaction
from models.video import Video

logger = logging.getLogger(__name__)

#: Rows read in one query.
BATCH = 100


def dispatch_waiting(settings: Settings) -> int:
    """Ask for a run for every inbox row that has none; give how many were asked for.

    Each row is noted in its own transaction: what Prefect accepted stays noted when the next one fails, and a
    row whose note was lost is asked for again under the same idempotency key. A row that Prefect refuses is logged,
    waits for the next call and does not hold up the others.

    Raises:
        WorkflowUnavailable, DatabaseUnavailable: transient; the rows wait.
        NotFound: Prefect has no deployment: run bootstrap (permanent).
    """
    asked, refused = 0, set[UUID]()
    while True:
        with transaction(settings.database) as session:
            waiting = [
                (row.id, row.video_id, session.get_one(Video, row.video_id).title, row.queue)
                for row in inbox.waiting(session, BATCH, refused)
            ]
        for source_id, video_id, title, queue in waiting:
            try:
                run_id = request_run(source_id, video_id, title, queue)
            except WorkflowRefused as error:
                with bound(video_id=video_id):
                    logger.warning("dispatch: video %s: %s", video_id, error)
                refused.add(source_id)
                continue
            with transaction(settings.database) as session:
                inbox.mark_dispatched(session, source_id, run_id)
            asked += 1
        if len(waiting) < BATCH:
            return asked
