"""Embedding spaces in a real database: their indexes, their coverage, and the two ways of searching one."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from core.errors import NotFound, SpaceInUse
from core.settings import DatabaseSettings
from core.values import EncoderSpec
from models import Encoder, Scene, SceneEmbedding, Video, VideoStatus, nearest, space_index, spaces
from models.session import engine_for, transaction
from models.space_index import ensure_index, index_name, index_state
from models.states import IndexState
from models.walking import walking

SPEC = EncoderSpec(name="tiny", revision="abc1", dim=4, preprocess="none")
OTHER = EncoderSpec(name="tiny", revision="def2", dim=3, preprocess="none")


def unit(chance: random.Random, dim: int) -> list[float]:
    numbers = [chance.gauss(0, 1) for _ in range(dim)]
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]


def filled(
    database: DatabaseSettings, owners: dict[str, int], spec: EncoderSpec = SPEC, scenes_per_video: int = 5
) -> Encoder:
    """Make videos of some owners, so many each, every scene with a vector."""
    chance = random.Random(7)
    with transaction(database) as session:
        space = spaces.register(session, spec)
        videos = [
            Video(
                id=uuid4(),
                owner_id=owner,
                title=f"{owner} {number}",
                status=VideoStatus.INDEXED,
                indexed_at=text("now()"),
                duration_s=Decimal(number),
            )
            for owner, count in owners.items()
            for number in range(count)
        ]
        scenes = [
            Scene(id=uuid4(), video_id=video.id, owner_id=video.owner_id, index=index, start_s=index, end_s=index + 1)
            for video in videos
            for index in range(scenes_per_video)
        ]
        vectors = [
            SceneEmbedding(
                scene_id=scene.id, encoder_id=space.id, owner_id=scene.owner_id, vector=unit(chance, spec.dim)
            )
            for scene in scenes
        ]
        for rows in (videos, scenes, vectors):
            session.add_all(rows)
            session.flush()
    return space


def test_an_index_left_half_made_is_seen_and_made_again(database: DatabaseSettings):
    space = filled(database, {"big": 2})
    with transaction(database) as session:
        assert index_state(session, space) is IndexState.MISSING
    assert ensure_index(database, space) is IndexState.READY
    with transaction(database) as session:
        # What a process leaves that was killed between the two halves of CREATE INDEX CONCURRENTLY.
        session.execute(
            text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(:name)"),
            {"name": index_name(space)},
        )
    with transaction(database) as session:
        assert index_state(session, space) is IndexState.INVALID
        assert [each.index for each in spaces.coverage(session)] == [IndexState.INVALID]
    assert ensure_index(database, space) is IndexState.READY
    assert ensure_index(database, space) is IndexState.READY
    space_index.drop_index(database, space)
    with transaction(database) as session:
        assert index_state(session, space) is IndexState.MISSING


def test_a_process_that_makes_the_index_is_left_alone(database: DatabaseSettings):
    space = filled(database, {"big": 1})
    with engine_for(database).connect() as other:
        other.execute(text("SELECT pg_advisory_lock(7203512, :space)"), {"space": space.id})
        assert ensure_index(database, space) is IndexState.MISSING
        other.execute(text("SELECT pg_advisory_unlock(7203512, :space)"), {"space": space.id})
    assert ensure_index(database, space) is IndexState.READY


def test_an_index_is_made_where_its_workers_have_no_room_to_share(database: DatabaseSettings):
    space = filled(database, {"big": 2})
    # Far more than /dev/shm holds anywhere, for a table that is large enough for workers.
    options = quote("-c maintenance_work_mem=2000GB -c min_parallel_table_scan_size=0")
    narrow = DatabaseSettings(url=f"{database.url.get_secret_value()}&options={options}")
    assert ensure_index(narrow, space) is IndexState.READY
    with transaction(narrow) as session:
        assert session.scalar(text("SHOW maintenance_work_mem")) == "2000GB"
        assert session.scalar(text("SHOW max_parallel_maintenance_workers")) != "0"
    engine_for(narrow).dispose()


#: Ways of searching: compare all, walk the index as far as it goes, and weigh it.
SCAN, WALK, WEIGH = 0, 40_000, None


@contextmanager
def index_scans(session: Session, space: Encoder) -> Iterator[list[int]]:
    """Count how often the space's index was walked inside."""
    asked = text("SELECT pg_stat_get_xact_numscans(to_regclass(:name)::oid)")
    before = session.scalar(asked, {"name": index_name(space)}) or 0
    counted: list[int] = []
    yield counted
    counted.append((session.scalar(asked, {"name": index_name(space)}) or 0) - before)


def test_the_index_and_the_scan_give_the_same_scenes(database: DatabaseSettings):
    space = filled(database, {"big": 40, "small": 2})
    ensure_index(database, space)
    vector = unit(random.Random(1), SPEC.dim)
    answers = {}
    for steps, walks in ((SCAN, 0), (WALK, 2), (WEIGH, 0)):
        with transaction(database) as session, index_scans(session, space) as walked:
            found = [
                nearest.nearest(session, space, vector, owner_id=owner, limit=12, steps=steps)
                for owner in ("big", "small")
            ]
        answers[steps] = [[hit.scene_id for hit in hits] for hits in found]
        assert walked == [walks]
    assert answers[SCAN] == answers[WALK] == answers[WEIGH]
    assert [len(found) for found in answers[SCAN]] == [12, 10]


def test_an_owner_of_most_scenes_is_searched_by_the_index_and_others_are_not(database: DatabaseSettings):
    space = filled(database, {"big": 330, "small": 10}, scenes_per_video=40)
    ensure_index(database, space)
    with engine_for(database).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    for owner, filters, walks in (
        ("big", nearest.EVERY_SCENE, 1),
        ("big", nearest.SceneFilters(duration_from_s=0), 1),
        ("big", nearest.SceneFilters(duration_from_s=325), 0),
        ("small", nearest.EVERY_SCENE, 0),
    ):
        with transaction(database) as session, index_scans(session, space) as walked:
            hits = nearest.nearest(
                session, space, unit(random.Random(2), SPEC.dim), owner_id=owner, filters=filters, limit=5
            )
        assert len(hits) == 5
        assert walked == [walks], (owner, filters)


def test_a_walk_that_gives_up_too_early_is_finished_by_a_scan(database: DatabaseSettings):
    space = filled(database, {"big": 60, "small": 3})
    ensure_index(database, space)
    with transaction(database) as session:
        found = nearest.nearest(session, space, unit(random.Random(2), SPEC.dim), owner_id="small", limit=15, steps=1)
    assert len(found) == 15
    assert {hit.title.partition(" ")[0] for hit in found} == {"small"}


def test_a_walk_goes_on_only_where_its_first_look_met_enough(database: DatabaseSettings):
    space = filled(database, {"big": 72, "small": 8})
    ensure_index(database, space)
    vector = unit(random.Random(4), SPEC.dim)
    for owner, limit, walks in (("big", 100, 2), ("small", 20, 1)):
        with transaction(database) as session:
            exact = nearest.nearest(session, space, vector, owner_id=owner, limit=limit, steps=SCAN)
            with index_scans(session, space) as walked:
                hits = nearest.nearest(session, space, vector, owner_id=owner, limit=limit, steps=40)
        assert walked == [walks], owner
        assert [hit.scene_id for hit in hits[:10]] == [hit.scene_id for hit in exact[:10]]
        assert len(hits) == limit


def test_a_walk_leaves_the_settings_of_its_callers_transaction_as_they_were(database: DatabaseSettings):
    names = ("enable_sort", "hnsw.ef_search", "hnsw.iterative_scan", "hnsw.max_scan_tuples", "hnsw.scan_mem_multiplier")
    with transaction(database) as session:
        session.execute(text("SELECT '[0]'::halfvec"))
        session.execute(text("SET LOCAL hnsw.ef_search = 33"))

        def now() -> list[object]:
            return [session.scalar(text(f"SHOW {name}")) for name in names]

        before = now()
        with walking(session, 7):
            assert now() == ["off", "7", "off", "7", "8"]
        with walking(session, 7_000):
            assert now() == ["off", "600", "relaxed_order", "7000", "8"]
        assert now() == before
        with suppress(KeyError), walking(session, 7):
            raise KeyError
        assert now() == before
    with transaction(database) as session, pytest.raises(ProgrammingError), walking(session, 7):
        session.execute(text("SELECT nothing"))


@pytest.mark.parametrize("steps", [SCAN, WALK])
def test_filters_choose_scenes_by_video_time_and_duration(database: DatabaseSettings, steps: int):
    space = filled(database, {"big": 4})
    ensure_index(database, space)
    vector = unit(random.Random(3), SPEC.dim)
    with transaction(database) as session:
        videos: Sequence[UUID] = session.scalars(select(Video.id).order_by(Video.duration_s)).all()

        def found(limit: int = 20, **filters: object) -> list[nearest.SceneHit]:
            chosen = nearest.SceneFilters(**filters)
            return nearest.nearest(session, space, vector, owner_id="big", filters=chosen, limit=limit, steps=steps)

        assert len(found()) == 20
        with index_scans(session, space) as walked:
            assert {hit.video_id for hit in found(5, video_ids=(videos[1],))} == {videos[1]}
            assert {hit.video_id for hit in found(10, duration_from_s=1, duration_to_s=3)} == {videos[1], videos[2]}
            assert {hit.start_s for hit in found(8, time_from_s=1.5, time_to_s=3)} == {1.0, 2.0}
        assert walked == [3 if steps else 0]
        assert len(found(duration_from_s=1, duration_to_s=3)) == 10
        uploaded = session.scalar(select(Video.created_at).limit(1))
        assert found(created_to=uploaded) == []
        assert len(found(created_from=uploaded)) == 20


def test_a_vector_of_another_dimension_is_never_compared(database: DatabaseSettings):
    space = filled(database, {"big": 1})
    with transaction(database) as session, pytest.raises(ValueError, match="3 numbers"):
        nearest.nearest(session, space, [1.0, 0.0, 0.0], owner_id="big", limit=1)


def test_a_space_that_was_dropped_meanwhile_does_not_take_over(database: DatabaseSettings):
    first = filled(database, {"big": 1})
    with transaction(database) as session:
        second = spaces.register(session, OTHER)
    with transaction(database) as session:
        spaces.remove(session, second)
    with transaction(database) as session, pytest.raises(NotFound, match="dropped meanwhile"):
        spaces.activate(session, second)
    with transaction(database) as session:
        assert [space.id for space in session.scalars(select(Encoder).where(Encoder.is_active))] == [first.id]


def test_what_a_space_holds_is_counted_scene_by_scene(database: DatabaseSettings):
    first = filled(database, {"big": 2})
    with transaction(database) as session:
        second = spaces.register(session, OTHER)
        scene = session.scalars(select(Scene).limit(1)).one()
        session.add(SceneEmbedding(scene_id=scene.id, encoder_id=second.id, owner_id="big", vector=[1, 0, 0]))
    with transaction(database) as session:
        full, part = spaces.held(session, first), spaces.held(session, second)
        assert (full.embedded, full.scenes, full.is_full) == (10, 10, True)
        assert (part.embedded, part.scenes, part.is_full) == (1, 10, False)
        assert spaces.space_named(session, "tiny@def").id == spaces.space_named(session, str(second.id)).id == second.id
        with pytest.raises(NotFound, match="Several"):
            spaces.space_named(session, "tiny")
        session.delete(scene)  # as publishing other scenes does
        session.flush()
        assert [spaces.held(session, each).embedded for each in (first, second)] == [9, 0]
        with pytest.raises(SpaceInUse):
            spaces.remove(session, first)
