"""From inbox rows to runs: after every event, and again by every sweep until Prefect has accepted each one."""

from core.settings import Settings
from dispatch.runs import request_run
from models import inbox
from models.session import transaction
from models.video import Video

#: Rows handled in one call; the next sweep takes the rest.
BATCH = 100


def dispatch_waiting(settings: Settings) -> int:
    """Ask for a run for every inbox row that has none; give how many were asked for.

    Each row is noted in its own transaction: what Prefect accepted stays noted when the next one fails, and a
    row whose note was lost is asked for again under the same idempotency key.

    Raises:
        WorkflowUnavailable, DatabaseUnavailable: transient; the rows wait.
    """
    with transaction(settings.database) as session:
        waiting = [
            (row.id, row.video_id, session.get_one(Video, row.video_id).title, row.queue)
            for row in inbox.waiting(session, BATCH)
        ]
    for source_id, video_id, title, queue in waiting:
        run_id = request_run(source_id, video_id, title, queue)
        with transaction(settings.database) as session:
            inbox.mark_dispatched(session, source_id, run_id)
    return len(waiting)
