"""Recipes of published videos: what is counted, what a backfill would take, and that the counts are those of the rows."""

import datetime as dt
import random
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from core.fingerprint import Recipes
from core.settings import DatabaseSettings, MediaSettings, Settings
from core.stages import Stage
from core.values import EncoderSpec, SourceVersion
from models import CoverageCount, Recipe, Video, VideoStage, VideoStatus, attempts, inbox, recipes, spaces
from models.recipes import NEVER, Column, Order
from models.session import transaction

OWNER = "local"
SPEC = EncoderSpec(name="tiny", revision="1", dim=3, preprocess="none")
SHOTS = Column(Stage.SHOTS)
BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def a_video(database: DatabaseSettings, hour: int, **values: object) -> UUID:
    """Make a video that came at an hour of the first day, indexed unless said otherwise."""
    with transaction(database) as session:
        facts = {"status": VideoStatus.INDEXED, "indexed_at": BEGIN, **values}
        video = Video(id=uuid4(), owner_id=OWNER, title="a", created_at=BEGIN + dt.timedelta(hours=hour), **facts)
        session.add(video)
        return video.id


def publish(database: DatabaseSettings, video_id: UUID, today: Recipes) -> None:
    with transaction(database) as session:
        recipes.record(session, video_id, recipes.columns(session, today))


def row_of(database: DatabaseSettings, today: Recipes, column: Column) -> recipes.Coverage:
    with transaction(database) as session:
        found = recipes.coverage(session, recipes.columns(session, today), OWNER)
    return next(row for row in found if (row.stage, row.encoder_id) == (column.stage, column.encoder_id))


def lacking(database: DatabaseSettings, today: Recipes, column: Column, **how: object) -> list[UUID]:
    """Give every candidate, page by page."""
    found: list[recipes.Candidate] = []
    with transaction(database) as session:
        name = recipes.columns(session, today)[column]
        while page := recipes.candidates(
            session,
            column,
            name,
            OWNER,
            after=found[-1] if found else None,
            limit=2,
            **how,  # type: ignore[arg-type]
        ):
            found += page
    return [one.video_id for one in found]


@pytest.fixture
def changed(settings: Settings) -> Settings:
    """Settings by which shots, and what hangs on them, are done otherwise."""
    return settings.model_copy(update={"shots": settings.shots.model_copy(update={"min_scene_s": 9.0})})


def test_a_change_of_settings_makes_what_hangs_on_it_stale_until_it_is_published_again(
    settings: Settings, changed: Settings
):
    old, new = Recipes(settings), Recipes(changed)
    videos = [a_video(settings.database, hour) for hour in range(3)]
    for video_id in videos:
        publish(settings.database, video_id, old)
    publish(settings.database, videos[1], new)

    shots, transcode = row_of(settings.database, new, SHOTS), row_of(settings.database, new, Column(Stage.TRANSCODE))
    assert (shots.produced, shots.stale, shots.missing) == (1, 2, 0)
    assert (transcode.produced, transcode.stale) == (3, 0)
    assert lacking(settings.database, new, SHOTS) == [videos[0], videos[2]]
    assert lacking(settings.database, new, SHOTS, order=Order.NEWEST) == [videos[2], videos[0]]
    assert lacking(settings.database, new, Column(Stage.TRANSCODE)) == []


def test_dates_bound_a_selection_half_open(settings: Settings, changed: Settings):
    videos = [a_video(settings.database, hour) for hour in range(4)]
    for video_id in videos:
        publish(settings.database, video_id, Recipes(settings))
    since, until = BEGIN + dt.timedelta(hours=1), BEGIN + dt.timedelta(hours=3)
    assert lacking(settings.database, Recipes(changed), SHOTS, since=since, until=until) == videos[1:3]


def test_every_video_is_in_exactly_one_place_of_a_column(settings: Settings):
    today, database = Recipes(settings), settings.database
    error = {"error_class": "E", "error_message": "m", "error_fingerprint": "f"}
    publish(database, a_video(database, 0), today)
    a_video(database, 1, status=VideoStatus.REJECTED, reject_reason="damaged", reject_sentence="s", indexed_at=None)
    a_video(database, 2, status=VideoStatus.FAILED, error_stage="shots", indexed_at=None, **error)
    a_video(database, 3, status=VideoStatus.FAILED, error_stage="validate", indexed_at=None, **error)
    a_video(database, 4, status=VideoStatus.PROCESSING, indexed_at=None)
    a_video(database, 5, status=VideoStatus.UPLOADING, indexed_at=None)
    row = row_of(database, today, SHOTS)
    assert (row.produced, row.stale, row.empty, row.failed, row.missing, row.videos) == (1, 0, 1, 1, 2, 5)


def test_a_new_space_begins_empty_and_is_filled_video_by_video(settings: Settings):
    today, database = Recipes(settings), settings.database
    videos = [a_video(database, hour) for hour in range(3)]
    for video_id in videos:
        publish(database, video_id, today)
    with transaction(database) as session:
        column = Column(Stage.EMBED, spaces.register(session, SPEC).id)
    assert row_of(database, today, column).missing == 3
    with transaction(database) as session:
        assert not recipes.is_whole(session, column, OWNER)
        after = recipes.add_missing(session, column, None)
        assert recipes.add_missing(session, column, after) is None
        assert recipes.is_whole(session, column, OWNER)
    assert lacking(database, today, column) == videos
    with transaction(database) as session:
        recipes.record(session, videos[0], {column: today.of_space(SPEC)})
    assert lacking(database, today, column) == videos[1:]
    with transaction(database) as session:
        assert recipes.behind(session, column, today.of_space(SPEC), OWNER) == 2
        assert recipes.known(session, videos[1])[column].recipe == NEVER


def test_a_failure_is_shown_and_tried_again_and_gone_with_the_next_success(settings: Settings):
    today, database = Recipes(settings), settings.database
    video_id = a_video(database, 0)
    publish(database, video_id, today)
    with transaction(database) as session:
        recipes.note_failure(session, video_id, Stage.SHOTS)
    assert row_of(database, today, SHOTS).failed == 1
    assert lacking(database, today, SHOTS) == [video_id]
    publish(database, video_id, today)
    assert row_of(database, today, SHOTS).produced == 1


def test_a_failed_rerun_of_an_indexed_video_shows_in_coverage(settings: Settings):
    source = SourceVersion(bucket="b", key="k", etag="e", last_modified=BEGIN, size_bytes=1)
    with transaction(settings.database) as session:
        video_id = inbox.record_source(session, source, owner_id=OWNER).video_id
        video = session.get_one(Video, video_id)
        video.status, video.indexed_at = VideoStatus.INDEXED, BEGIN
    publish(settings.database, video_id, Recipes(settings))
    with transaction(settings.database) as session:
        ticket = attempts.begin(session, video_id, None)
        attempts.fail(session, video_id, stage="shots", error_class="E", message="m", attempt=ticket.attempt)
    assert row_of(settings.database, Recipes(settings), SHOTS).failed == 1


def test_the_column_of_a_dropped_space_is_gone(settings: Settings):
    today, database = Recipes(settings), settings.database
    with transaction(database) as session:
        spaces.register(session, EncoderSpec(name="first", revision="1", dim=3, preprocess="none"))
        space = spaces.register(session, SPEC)
        column = Column(Stage.EMBED, space.id)
    publish(database, a_video(database, 0), today)
    with transaction(database) as session:
        assert spaces.remove(session, session.merge(space)) == 0
        assert column not in recipes.columns(session, today)
        assert session.scalar(select(func.count()).where(VideoStage.encoder_id == column.encoder_id)) == 0


def test_counts_are_those_of_the_rows_whatever_is_written(settings: Settings):
    seed = random.SystemRandom().randrange(1 << 31)
    print(f"seed {seed}")
    chance, database = random.Random(seed), settings.database
    ways = [
        Recipes(settings.model_copy(update={"media": MediaSettings(proxy_short_side=side)})) for side in (128, 160, 192)
    ]
    videos = [a_video(database, hour) for hour in range(12)]
    for _ in range(60):
        video_id = chance.choice(videos)
        what = chance.random()
        with transaction(database) as session:
            if what < 0.6:
                if session.get(Video, video_id) is not None:
                    recipes.record(session, video_id, recipes.columns(session, chance.choice(ways)))
            elif what < 0.8:
                recipes.note_failure(session, video_id, chance.choice(list(Stage)))
            elif what < 0.9:
                session.delete(session.get(Video, video_id)) if session.get(Video, video_id) else None
            else:
                recipes.add_missing(session, SHOTS, None)
    with transaction(database) as session:
        rows = select(VideoStage.recipe_id, VideoStage.owner_id, VideoStage.failed, func.count()).group_by(
            VideoStage.recipe_id, VideoStage.owner_id, VideoStage.failed
        )
        counted = select(
            CoverageCount.recipe_id, CoverageCount.owner_id, CoverageCount.failed, CoverageCount.videos
        ).where(CoverageCount.videos != 0)
        assert {tuple(row) for row in session.execute(rows)} == {tuple(row) for row in session.execute(counted)}
        assert session.scalar(select(func.count()).select_from(Recipe)) == session.scalar(
            select(func.count()).select_from(select(Recipe.stage, Recipe.encoder_id, Recipe.name).distinct().subquery())
        )
