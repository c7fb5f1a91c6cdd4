"""What a run that failed writes down, although the database is what failed."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Failed
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from core.errors import DatabaseUnavailable
from core.settings import DatabaseSettings, Settings
from core.stages import Stage
from flows.ingest import ingest_video
from flows.outcome import note_failure
from models import Video, VideoStatus, attempts
from models.session import engine_for, ping, transaction
from tasks.stage import STAGE_NOTE
from tests.conftest import wait_for
from tests.integration.models.test_inbox import record


@contextmanager
def outage(database: DatabaseSettings) -> Iterator[None]:
    """Let nobody into a database while the body runs."""
    url = make_url(database.url.get_secret_value())
    engine_for(database).dispose()
    admin = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false"))
        with pytest.raises(DatabaseUnavailable):
            ping(database)
        yield
        connection.execute(text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true"))
    admin.dispose()


def test_a_run_that_failed_for_the_database_still_says_in_which_stage_once_it_is_back(settings: Settings):
    row, run_id = record(settings.database), uuid4()
    with transaction(settings.database) as session:
        attempts.begin(session, row.video_id, run_id)
    error = DatabaseUnavailable("The database did not answer.")
    error.add_note(f"{STAGE_NOTE}{Stage.SHOTS}")
    run = FlowRun(id=run_id, flow_id=uuid4(), name="a", parameters={"video_id": str(row.video_id)})
    hook = Thread(target=note_failure, args=(ingest_video, run, Failed(data=error)))
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        with outage(settings.database):
            hook.start()
            hook.join(1)
            assert hook.is_alive(), "it waits"
        wait_for(lambda: not hook.is_alive(), "the hook has written it down", 60)
    with transaction(settings.database) as session:
        video = session.get_one(Video, row.video_id)
        assert (video.status, video.error_stage, video.error_class) == (
            VideoStatus.FAILED,
            Stage.SHOTS,
            "DatabaseUnavailable",
        )
