"""Recipes of published videos: what is counted, what a backfill would take, and that the counts are those of the rows."""

import datetime as dt
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from core.fingerprint import Recipes
from core.settings import DatabaseSettings, MediaSettings, Settings
from core.stages import Stage
from core.values import EncoderSpec, SourceVersion
from models import (
    CoverageCount,
    Recipe,
    Scene,
    Video,
    VideoStage,
    VideoStatus,
    attempts,
    coverage,
    inbox,
    lacking,
    recipes,
    spaces,
)
from models.encoder import Encoder, SceneEmbedding
from models.lacking import Candidate, Lack, Order, Wanted
from models.recipes import NEVER, Column
from models.session import transaction
from tests.conftest import wait_for
from tests.integration.library import SPEC

OWNER = "local"
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


def row_of(database: DatabaseSettings, today: Recipes, column: Column) -> coverage.Coverage:
    with transaction(database) as session:
        found = coverage.coverage(session, recipes.columns(session, today), OWNER)
    return next(row for row in found if (row.stage, row.encoder_id) == (column.stage, column.encoder_id))


def wanted(database: DatabaseSettings, today: Recipes, column: Column, **how: object) -> Wanted:
    with transaction(database) as session:
        return Wanted(column, recipes.columns(session, today)[column], OWNER, **how)  # type: ignore[arg-type]


def those_lacking(
    database: DatabaseSettings, today: Recipes, column: Column, order: Order = Order.OLDEST, **how: object
) -> list[UUID]:
    """Give every candidate, page by page; the count says how many."""
    which, found = wanted(database, today, column, **how), list[Candidate]()
    with transaction(database) as session:
        while page := lacking.candidates(session, which, order=order, after=found[-1] if found else None, limit=2):
            found += page
        assert lacking.count(session, which) == len(found)
    return [one.video_id for one in found]


def listed(
    database: DatabaseSettings, today: Recipes, column: Column, lack: Lack | None = None
) -> list[tuple[UUID, Lack]]:
    """Give what a column's list shows, page by page."""
    which, found = wanted(database, today, column, lack=lack), list[coverage.Lacking]()
    with transaction(database) as session:
        while page := coverage.videos_lacking(
            session, which, Candidate.at(found[-1].video_at, found[-1].video_id) if found else None, 2
        ):
            found += page
    return [(one.video_id, one.lack) for one in found]


def test_the_list_of_spaces_counts_the_videos_of_all_owners_that_each_was_filled_for(settings: Settings):
    today, other = Recipes(settings), EncoderSpec(name="other", revision="1", dim=9, preprocess="none")
    with transaction(settings.database) as session:
        for spec in (SPEC, other):
            spaces.register(session, spec)
    mine, theirs, waiting = a_video(settings.database, 1), a_video(settings.database, 2), a_video(settings.database, 3)
    with transaction(settings.database) as session:
        session.get_one(Video, theirs).owner_id = "them"
        session.flush()
        for video_id, embedded in ((mine, [SPEC, other]), (theirs, [SPEC]), (waiting, [])):
            recipes.record(session, video_id, recipes.published_by(session, video_id, today, embedded))
    with transaction(settings.database) as session:
        first, second = spaces.coverage(session)
    assert (first.name, first.filled, first.videos) == ("tiny", 2, 3)
    assert (second.name, second.filled, second.videos) == ("other", 1, 3)

    with transaction(settings.database) as session:  # another try at what is there fails: it still is
        recipes.note_failure(session, mine, Stage.EMBED)
        session.delete(session.get_one(Video, theirs))
    with transaction(settings.database) as session:
        assert [(each.filled, each.videos) for each in spaces.coverage(session)] == [(1, 2), (1, 2)]


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
    assert those_lacking(settings.database, new, SHOTS) == [videos[0], videos[2]]
    assert those_lacking(settings.database, new, SHOTS, order=Order.NEWEST) == [videos[2], videos[0]]
    assert those_lacking(settings.database, new, Column(Stage.TRANSCODE)) == []


def test_dates_bound_a_selection_half_open(settings: Settings, changed: Settings):
    videos = [a_video(settings.database, hour) for hour in range(4)]
    for video_id in videos:
        publish(settings.database, video_id, Recipes(settings))
    since, until = BEGIN + dt.timedelta(hours=1), BEGIN + dt.timedelta(hours=3)
    assert those_lacking(settings.database, Recipes(changed), SHOTS, since=since, until=until) == videos[1:3]


def test_every_video_is_in_exactly_one_place_of_a_column_and_the_list_agrees(settings: Settings, changed: Settings):
    today, database = Recipes(settings), settings.database
    error = {"error_class": "E", "error_message": "m", "error_fingerprint": "f"}
    publish(database, a_video(database, 0), today)
    a_video(database, 1, status=VideoStatus.REJECTED, reject_reason="damaged", reject_sentence="s", indexed_at=None)
    failed = a_video(database, 2, status=VideoStatus.FAILED, error_stage="shots", indexed_at=None, **error)
    elsewhere = a_video(database, 3, status=VideoStatus.FAILED, error_stage="validate", indexed_at=None, **error)
    between = a_video(database, 4, status=VideoStatus.FAILED, error_stage=None, indexed_at=None, **error)
    on_its_way = a_video(database, 5, status=VideoStatus.PROCESSING, indexed_at=None)
    a_video(database, 6, status=VideoStatus.UPLOADING, indexed_at=None)
    stale, broken = a_video(database, 7), a_video(database, 8)
    for video_id in (stale, broken):
        publish(database, video_id, Recipes(changed))
    with transaction(database) as session:
        recipes.note_failure(session, broken, Stage.SHOTS)
    row = row_of(database, today, SHOTS)
    assert (row.produced, row.stale, row.empty, row.failed, row.missing, row.videos) == (1, 1, 1, 2, 3, 8)
    shown = listed(database, today, SHOTS)
    assert shown == [
        (broken, Lack.FAILED),
        (stale, Lack.STALE),
        (on_its_way, Lack.MISSING),
        (between, Lack.MISSING),
        (elsewhere, Lack.MISSING),
        (failed, Lack.FAILED),
    ]
    for lack in Lack:
        assert listed(database, today, SHOTS, lack) == [one for one in shown if one[1] is lack]


def test_a_selection_takes_those_that_lack_it_in_one_way(settings: Settings, changed: Settings):
    today, database = Recipes(changed), settings.database
    stale, broken, again = (a_video(database, hour) for hour in range(3))
    for video_id, way in ((stale, settings), (broken, settings), (again, changed)):
        publish(database, video_id, Recipes(way))
    with transaction(database) as session:
        for video_id in (broken, again):
            recipes.note_failure(session, video_id, Stage.SHOTS)
    assert those_lacking(database, today, SHOTS) == [stale, broken, again]
    assert those_lacking(database, today, SHOTS, lack=Lack.STALE) == [stale]
    assert those_lacking(database, today, SHOTS, lack=Lack.FAILED) == [broken, again]
    assert those_lacking(database, today, SHOTS, lack=Lack.MISSING) == []


def test_a_verdict_and_a_publication_stand_whatever_is_done_today(settings: Settings):
    stricter = settings.model_copy(update={"limits": settings.limits.model_copy(update={"max_streams": 3})})
    assert Recipes(stricter).of(Stage.VALIDATE) != Recipes(settings).of(Stage.VALIDATE)
    publish(settings.database, a_video(settings.database, 0), Recipes(settings))
    row = row_of(settings.database, Recipes(stricter), Column(Stage.VALIDATE))
    assert (row.produced, row.stale) == (1, 0)
    assert listed(settings.database, Recipes(stricter), Column(Stage.VALIDATE)) == []


def test_dates_count_exactly_also_where_a_space_has_no_rows_yet(settings: Settings):
    today, database = Recipes(settings), settings.database
    videos = [a_video(database, hour) for hour in range(5)]
    for video_id in videos:
        publish(database, video_id, today)
    with transaction(database) as session:
        column = Column(Stage.EMBED, spaces.register(session, SPEC).id)
        recipes.record(session, videos[1], {column: today.of_space(SPEC)})
    between = {"since": BEGIN + dt.timedelta(hours=1), "until": BEGIN + dt.timedelta(hours=4)}
    for lack, number in ((None, 2), (Lack.MISSING, 2), (Lack.STALE, 0)):
        with transaction(database) as session:
            assert lacking.count(session, wanted(database, today, column, lack=lack, **between)) == number


def with_scenes(database: DatabaseSettings, video_id: UUID, encoder_id: int, number: int = 2) -> list[UUID]:
    """Give a video new scenes, embedded in one space, in place of those it has."""
    ids = [uuid4() for _ in range(number)]
    with transaction(database) as session:
        session.execute(delete(Scene).where(Scene.video_id == video_id))
        for index, scene in enumerate(ids):
            times = {"start_s": index, "end_s": index + 1}
            session.add(Scene(id=scene, video_id=video_id, owner_id=OWNER, index=index, **times))
        session.flush()
        for scene in ids:
            session.add(SceneEmbedding(scene_id=scene, encoder_id=encoder_id, owner_id=OWNER, vector=[1, 0, 0]))
    return ids


def test_a_space_that_still_holds_the_scenes_keeps_its_recipe_when_its_encoder_was_not_there(settings: Settings):
    today, database = Recipes(settings), settings.database
    video_id, other = a_video(database, 0), EncoderSpec(name="other", revision="1", dim=3, preprocess="none")
    with transaction(database) as session:
        space, elsewhere = spaces.register(session, SPEC), spaces.register(session, other)
        column = Column(Stage.EMBED, elsewhere.id)
    with_scenes(database, video_id, elsewhere.id)
    publish(database, video_id, today)

    def publish_again() -> str:
        with transaction(database) as session:
            recipes.record(session, video_id, recipes.published_by(session, video_id, today, [SPEC]))
            known = recipes.known(session, video_id)
            assert known[Column(Stage.EMBED, space.id)].recipe == today.of_space(SPEC)
            return known[column].recipe

    assert publish_again() == today.of_space(other)
    with_scenes(database, video_id, space.id)
    assert publish_again() == NEVER, "its scenes are others now"


def test_a_new_space_begins_empty_and_is_filled_video_by_video(settings: Settings):
    today, database = Recipes(settings), settings.database
    videos = [a_video(database, hour) for hour in range(3)]
    for video_id in videos:
        publish(database, video_id, today)
    with transaction(database) as session:
        column = Column(Stage.EMBED, spaces.register(session, SPEC).id)
    assert row_of(database, today, column).missing == 3
    with transaction(database) as session:
        assert not lacking.is_whole(session, column, OWNER)
        after = lacking.add_missing(session, column, None)
        assert lacking.add_missing(session, column, after) is None
        assert lacking.is_whole(session, column, OWNER)
    assert those_lacking(database, today, column) == videos
    with transaction(database) as session:
        recipes.record(session, videos[0], {column: today.of_space(SPEC)})
    assert those_lacking(database, today, column) == videos[1:]
    with transaction(database) as session:
        assert recipes.known(session, videos[1])[column].recipe == NEVER


def test_a_failure_is_shown_and_tried_again_and_gone_with_the_next_success(settings: Settings):
    today, database = Recipes(settings), settings.database
    video_id = a_video(database, 0)
    publish(database, video_id, today)
    with transaction(database) as session:
        recipes.note_failure(session, video_id, Stage.SHOTS)
    assert row_of(database, today, SHOTS).failed == 1
    assert those_lacking(database, today, SHOTS) == [video_id]
    publish(database, video_id, today)
    assert row_of(database, today, SHOTS).produced == 1


def uploaded_and_indexed(settings: Settings) -> UUID:
    """Give a video that has an object, was published and is up to date."""
    source = SourceVersion(bucket="b", key="k", etag="e", last_modified=BEGIN, size_bytes=1)
    with transaction(settings.database) as session:
        video_id = inbox.record_source(session, source, owner_id=OWNER).video_id
        video = session.get_one(Video, video_id)
        video.status, video.indexed_at = VideoStatus.INDEXED, BEGIN
    publish(settings.database, video_id, Recipes(settings))
    return video_id


def test_a_failed_rerun_of_an_indexed_video_shows_in_coverage(settings: Settings):
    video_id = uploaded_and_indexed(settings)
    with transaction(settings.database) as session:
        ticket = attempts.begin(session, video_id, None)
        attempts.fail(session, video_id, stage="shots", error_class="E", message="m", attempt=ticket.attempt)
    assert row_of(settings.database, Recipes(settings), SHOTS).failed == 1


def test_a_rejected_rerun_of_an_indexed_video_shows_in_coverage_and_leaves_it_indexed(settings: Settings):
    video_id = uploaded_and_indexed(settings)
    with transaction(settings.database) as session:
        ticket = attempts.begin(session, video_id, None)
        attempts.reject(session, ticket, "damaged", "It is damaged.", Stage.TRANSCODE)
        assert session.get_one(Video, video_id).status is VideoStatus.INDEXED
    assert row_of(settings.database, Recipes(settings), Column(Stage.TRANSCODE)).failed == 1


@pytest.mark.parametrize("is_first", ["publication", "drop"])
def test_a_video_that_is_published_while_a_space_is_dropped_stops_neither(settings: Settings, is_first: str):
    database = settings.database
    one, other = a_video(database, 0), a_video(database, 1)
    with transaction(database) as session:
        spaces.register(session, EncoderSpec(name="first", revision="1", dim=3, preprocess="none"))
        space = spaces.register(session, SPEC)
        column = Column(Stage.EMBED, space.id)
        recipes.record(session, one, {column: NEVER})

    def drop(session: Session) -> None:
        spaces.remove(session, session.get_one(Encoder, space.id))

    def publish(session: Session) -> None:
        recipes.record(session, other, {column: NEVER, SHOTS: "today's"})

    def alone(what: Callable[[Session], None]) -> None:
        with transaction(database) as session:
            what(session)

    before, after = (drop, publish) if is_first == "drop" else (publish, drop)
    with ThreadPoolExecutor(1) as pool:
        with transaction(database) as session:
            before(session)
            second = pool.submit(alone, after)
            waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
            wait_for(lambda: session.scalar(text(waits)), "the second waits for the first")
        second.result(30)
    with transaction(database) as session:
        assert recipes.known(session, one) == {}
        assert recipes.known(session, other).keys() == {SHOTS}
        assert session.get(Encoder, space.id) is None
        assert not session.scalars(select(Recipe).filter_by(encoder_id=column.encoder_id)).all()


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
                lacking.add_missing(session, SHOTS, None)
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
