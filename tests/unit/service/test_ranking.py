"""How hits are put in order and told once."""

import datetime as dt
from uuid import UUID

import numpy as np

from models.nearest import SceneHit
from service.ranking import Candidate, collapse
from service.ranking import fuse as fuse_of


def scene(number: int, score: float = 0.5) -> SceneHit:
    return SceneHit(
        scene_id=UUID(int=number),
        video_id=UUID(int=100 + number),
        index=0,
        start_s=0,
        end_s=1,
        score=score,
        title="film",
        poster_key=None,
        created_at=dt.datetime(2026, 11, 23, tzinfo=dt.UTC),
    )


def fuse(visual, said, together: int = 100) -> list[Candidate]:
    return fuse_of(visual, said, together=together)


def numbers(candidates) -> list[int]:
    return [each.scene.scene_id.int for each in candidates]


def test_without_words_the_order_is_that_of_the_pictures():
    assert numbers(fuse([scene(3), scene(1), scene(2)], [])) == [3, 1, 2]


def test_a_scene_that_both_rankings_name_comes_before_the_best_of_each():
    [both, *rest] = fuse([scene(1, 0.9), scene(2, 0.8)], [(("boats",), [scene(2, 0.8)]), (("boat",), [scene(3, 0.1)])])
    assert (both.scene.scene_id.int, both.visual_rank, both.words_rank, both.words) == (2, 2, 1, ("boats",))
    assert numbers(rest) == [1, 3]
    assert (rest[1].visual_rank, rest[1].words) == (None, ("boat",))


def test_equal_places_are_told_apart_by_similarity_and_then_by_id_so_that_pages_agree():
    assert numbers(fuse([scene(1, 0.1)], [(("x",), [scene(2, 0.9)])])) == [2, 1]
    assert numbers(fuse([scene(7, 0.5)], [(("x",), [scene(5, 0.5)])])) == [5, 7]


def test_a_longer_ranking_by_picture_only_adds_to_the_end():
    visual = [scene(number, 1 - number / 100) for number in range(20)]
    said = [(("x",), [scene(15, 0.85), scene(3, 0.97)]), (("x",), [scene(30, 0.1)])]
    whole = fuse(visual, said, together=5)
    for depth in (5, 8, 15, 16):
        part = fuse(visual[:depth], said, together=5)
        assert part == whole[: len(part)]
    assert {3, 15, 30} < set(numbers(whole)[:8])


def unit(*numbers: float) -> np.ndarray:
    row = np.asarray(numbers, np.float32)
    return row / np.linalg.norm(row)


def test_scenes_that_look_the_same_are_told_once_with_the_best_placed():
    candidates = fuse([scene(1), scene(2), scene(3), scene(4)], [])
    vectors = {UUID(int=1): unit(1, 0), UUID(int=2): unit(0, 1), UUID(int=3): unit(1, 0.01), UUID(int=4): unit(1, 0.3)}
    found = collapse(candidates, vectors)
    assert numbers(each.candidate for each in found) == [1, 2, 4]
    assert [[same.scene_id.int for same in each.same] for each in found] == [[3], [], []]


def test_a_chain_of_small_steps_does_not_pull_everything_into_one_hit():
    angles = np.linspace(0, 1, 11)
    candidates = fuse([scene(number) for number in range(11)], [])
    vectors = {UUID(int=number): unit(np.cos(angle), np.sin(angle)) for number, angle in enumerate(angles)}
    assert len(collapse(candidates, vectors)) > 5


def test_a_scene_without_a_vector_stays_by_itself_whatever_comes_after_it():
    vectors = {UUID(int=2): unit(1, 0), UUID(int=4): unit(1, 0.01), UUID(int=5): unit(0, 1)}
    found = collapse(fuse([scene(number) for number in range(1, 6)], []), vectors)
    assert numbers(each.candidate for each in found) == [1, 2, 3, 5]
    assert [[same.scene_id.int for same in each.same] for each in found] == [[], [4], [], []]
    assert len(collapse(fuse([scene(1), scene(2)], []), {})) == 2
