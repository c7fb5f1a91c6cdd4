"""A worker of some release at work, until a file tells it to stop: uploads, attempts, ledger, publication, search, lists.

Run as a script with the `models` of that release first on the path: `one_worker.py COUNT_FILE STOP_FILE`.
"""

import sys
from pathlib import Path
from uuid import uuid4

from core.fingerprint import Recipes
from core.settings import get_settings
from core.stages import Stage
from models import (
    Video,
    VideoStatus,
    attempts,
    coverage,
    failing,
    inbox,
    lacking,
    ledger,
    measuring,
    nearest,
    publication,
    reading,
    recipes,
    reconciling,
    spaces,
)
from models.lacking import Wanted
from models.recipes import Column
from models.session import transaction
from models.summary import summarise
from tests.integration.models.test_inbox import facts, made, make_source

#: What a newer release may have beside the columns of this one.
COLOUR = getattr(Video, "colour", None)


def one_upload() -> None:
    """Take one upload all the way, and another one to its failure."""
    database = get_settings().database
    with transaction(database) as session:
        video_id = inbox.record_source(session, make_source(key=f"{uuid4()}.mp4"), owner_id="local").video_id
    with transaction(database) as session:
        ticket = attempts.begin(session, video_id, uuid4())
        attempts.accept(session, ticket, "00" * 32, 10, facts())
        ledger.finish(session, ledger.start(session, ticket, Stage.TRANSCODE, "f", None))
        publication.publish(session, ticket, *made(3))
        made_for = [space.spec for space in spaces.every_space(session)]
        done = recipes.published_by(session, video_id, Recipes(get_settings()), made_for)
        recipes.record(session, video_id, done)
    with transaction(database) as session:
        recipes.note_failure(session, video_id, Stage.SHOTS)
    with transaction(database) as session:
        video = reading.video_with_parts(session, video_id)
        assert video is not None
        assert video.status is VideoStatus.INDEXED
        assert summarise(video.stage_runs)
        assert len(video.scenes) == 3
        if COLOUR is not None:
            assert video.colour == "grey"
            video.colour = "blue"
    with transaction(database) as session:
        lost = inbox.record_source(session, make_source(key=f"{uuid4()}.mp4"), owner_id="local").video_id
        attempts.begin(session, lost, None)
        assert attempts.fail(session, lost, stage=Stage.SHOTS, error_class="E", message="m", attempt=None)


def look() -> None:
    """Read what service and reconcile read."""
    with transaction(get_settings().database) as session:
        assert reading.list_videos(session, owner_id="local", status=VideoStatus.INDEXED, limit=10)
        assert failing.failure_groups(session)
        reconciling.live_videos(session, None, 10)
        measuring.measure(session)
        today, owner = recipes.columns(session, Recipes(get_settings())), get_settings().owner_id
        shots = Column(Stage.SHOTS)
        assert lacking.candidates(session, Wanted(shots, today[shots], owner), limit=2)
        counted = {row.stage: row for row in coverage.coverage(session, today, owner)}
        assert counted[Stage.SHOTS].failed
        assert counted[Stage.PUBLISH].produced
        assert all(each.filled for each in spaces.coverage(session))
        space = reading.active_encoder(session)
        assert space is not None
        assert nearest.nearest(session, space, [0.0, 1.0, 0.0], owner_id="local", limit=2)


def main() -> None:
    count_file, stop_file = map(Path, sys.argv[1:])
    done = 0
    while not stop_file.exists():
        one_upload()
        look()
        done += 1
        fresh = count_file.with_suffix(".new")
        fresh.write_text(str(done))
        fresh.replace(count_file)


if __name__ == "__main__":
    main()
