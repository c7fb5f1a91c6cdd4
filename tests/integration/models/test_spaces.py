"""Embedding spaces in a real database: their indexes, their coverage, and the two ways of searching one."""

import random
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from core.errors import NotFound, SpaceInUse
from core.settings import DatabaseSettings
from core.values import EncoderSpec
from models import Encoder, Scene, SceneEmbedding, Video, VideoStatus, nearest, space_index, spaces
from models.session import engine_for, transaction
from models.space_index import ensure_index, index_name, index_state
from models.states import IndexState

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
        for owner, videos in owners.items():
            for number in range(videos):
                video = Video(
                    id=uuid4(),
                    owner_id=owner,
                    title=f"{owner} {number}",
                    status=VideoStatus.INDEXED,
                    indexed_at=text("now()"),
                    duration_s=Decimal(number),
                )
                session.add(video)
                session.flush()
                for index in range(scenes_per_video):
                    scene = Scene(
                        id=uuid4(), video_id=video.id, owner_id=owner, index=index, start_s=index, end_s=index + 1
                    )
                    session.add(scene)
                    session.flush()
                    session.add(
                        SceneEmbedding(
                            scene_id=scene.id, encoder_id=space.id, owner_id=owner, vector=unit(chance, spec.dim)
                        )
                    )
    return space


def plan_of(database: DatabaseSettings, space: Encoder, vector: Sequence[float]) -> str:
    """Read how the database walks a space."""
    statement = nearest._by_index(nearest._candidates(space, vector, "big", nearest.EVERY_SCENE), 10)
    with engine_for(database).connect() as connection:
        compiled = statement.compile(connection, compile_kwargs={"literal_binds": False})
        connection.execute(text("SELECT set_config('enable_sort', 'off', false)"))
        rows = connection.exec_driver_sql(f"EXPLAIN {compiled}", compiled.construct_params())
        return "\n".join(row[0] for row in rows)


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


def test_the_index_and_the_scan_give_the_same_scenes(database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch):
    space = filled(database, {"big": 40, "small": 2})
    ensure_index(database, space)
    vector = unit(random.Random(1), SPEC.dim)
    answers = []
    for exact_up_to in (1_000, 20):
        monkeypatch.setattr(nearest, "EXACT_UP_TO", exact_up_to)
        with transaction(database) as session:
            answers.append(
                [
                    [
                        hit.scene_id
                        for hit in nearest.nearest(session, space, vector, owner_id=owner, limit=12, offset=3)
                    ]
                    for owner in ("big", "small")
                ]
            )
            # The search leaves nothing behind in its caller's transaction.
            assert session.scalar(text("SHOW enable_sort")) == "on"
    assert answers[0] == answers[1]
    assert [len(found) for found in answers[0]] == [12, 7]
    assert index_name(space) in plan_of(database, space, vector)


def test_a_walk_that_gives_up_too_early_is_finished_by_a_scan(
    database: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
):
    space = filled(database, {"big": 60, "small": 3})
    ensure_index(database, space)
    monkeypatch.setattr(nearest, "EXACT_UP_TO", 5)
    monkeypatch.setattr(nearest, "EF_SEARCH", 1)
    monkeypatch.setattr(nearest, "MAX_WALK", 1)
    with transaction(database) as session:
        found = nearest.nearest(session, space, unit(random.Random(2), SPEC.dim), owner_id="small", limit=15)
    assert len(found) == 15
    assert {hit.title.partition(" ")[0] for hit in found} == {"small"}


def test_filters_choose_scenes_by_video_time_and_duration(database: DatabaseSettings):
    space = filled(database, {"big": 4})
    vector = unit(random.Random(3), SPEC.dim)
    with transaction(database) as session:
        videos: Sequence[UUID] = session.scalars(select(Video.id).order_by(Video.duration_s)).all()

        def found(**filters: object) -> list[nearest.SceneHit]:
            chosen = nearest.SceneFilters(**filters)
            return nearest.nearest(session, space, vector, owner_id="big", filters=chosen, limit=50)

        assert len(found()) == 20
        assert {hit.video_id for hit in found(video_ids=(videos[1],))} == {videos[1]}
        assert {hit.video_id for hit in found(duration_from_s=1, duration_to_s=3)} == {videos[1], videos[2]}
        assert {hit.start_s for hit in found(time_from_s=1.5, time_to_s=3)} == {1.0, 2.0}
        uploaded = session.scalar(select(Video.created_at).limit(1))
        assert found(created_to=uploaded) == []
        assert len(found(created_from=uploaded)) == 20


def test_a_vector_of_another_dimension_is_never_compared(database: DatabaseSettings):
    space = filled(database, {"big": 1})
    with transaction(database) as session, pytest.raises(ValueError, match="3 numbers"):
        nearest.nearest(session, space, [1.0, 0.0, 0.0], owner_id="big", limit=1)


def test_coverage_counts_what_indexed_videos_lack(database: DatabaseSettings):
    first = filled(database, {"big": 2})
    with transaction(database) as session:
        second = spaces.register(session, OTHER)
        scene = session.scalars(select(Scene).limit(1)).one()
        session.add(SceneEmbedding(scene_id=scene.id, encoder_id=second.id, owner_id="big", vector=[1, 0, 0]))
    with transaction(database) as session:
        full, part = spaces.coverage(session)
        assert (full.embedded, full.scenes, full.is_full, full.is_active) == (10, 10, True, True)
        assert (part.embedded, part.scenes, part.is_full, part.is_active) == (1, 10, False, False)
        assert spaces.space_named(session, "tiny@def").id == spaces.space_named(session, str(second.id)).id == second.id
        with pytest.raises(NotFound, match="Several"):
            spaces.space_named(session, "tiny")
        session.delete(scene)  # as publishing other scenes does
        session.flush()
        assert [each.embedded for each in spaces.coverage(session)] == [9, 0]
        with pytest.raises(SpaceInUse):
            spaces.remove(session, first)
