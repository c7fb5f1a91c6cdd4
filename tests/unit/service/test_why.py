"""Why a video is not searchable: one sentence and a next step for every state that it can be in."""

import datetime as dt
from uuid import UUID

import pytest

from core.stages import Stage
from models import Encoder, Video, VideoStatus
from models.recipes import NEVER, Column, Known
from service.why import why

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
SPACE = Encoder(id=1, name="bundled", revision="1", dim=3, preprocess="none", is_active=True)
HERE = Column(Stage.EMBED, 1)
TODAY = {Column(Stage.SHOTS): "new", HERE: "new"}


def video(status: VideoStatus, **facts: object) -> Video:
    return Video(id=UUID(int=0xAB << 120), owner_id="local", title="a", created_at=NOON, status=status, **facts)


@pytest.mark.parametrize(
    ("facts", "sentence", "step"),
    [
        ({"status": VideoStatus.UPLOADING}, "its file has not arrived", "Upload the file"),
        (
            {"status": VideoStatus.REJECTED, "reject_reason": "damaged", "reject_sentence": "It is damaged."},
            "rejected (damaged): It is damaged.",
            "Upload a mended file",
        ),
        (
            {
                "status": VideoStatus.FAILED,
                "error_stage": "shots",
                "error_class": "Crash",
                "error_message": "one\ntwo",
            },
            "It failed in stage shots: Crash: one",
            "dailies rerun ab000000",
        ),
        ({"status": VideoStatus.VALIDATING}, "it waits for its turn", "dailies show ab000000 --follow"),
    ],
    ids=["uploading", "rejected", "failed", "waiting"],
)
def test_a_video_that_is_not_indexed_says_where_it_stands(facts: dict[str, object], sentence: str, step: str):
    answer = why(video(**facts), None, SPACE, {}, TODAY)  # type: ignore[arg-type]
    assert not answer.searchable
    assert sentence in answer.sentence
    assert step in (answer.next_step or "")


def test_a_video_at_work_names_its_stage():
    answer = why(video(VideoStatus.PROCESSING), Stage.TRANSCODE, SPACE, {}, TODAY)
    assert "stage transcode is running" in answer.sentence


@pytest.mark.parametrize(
    ("known", "searchable", "said"),
    [
        ({Column(Stage.SHOTS): "new", HERE: "new"}, True, "everything is up to date"),
        ({Column(Stage.SHOTS): "old", HERE: "old"}, True, "shots and embed would be done otherwise today"),
        ({Column(Stage.SHOTS): "new"}, False, "not in the space of bundled"),
        ({Column(Stage.SHOTS): "new", HERE: NEVER}, False, "not in the space of bundled"),
    ],
    ids=["fresh", "stale", "no row", "never"],
)
def test_an_indexed_video_is_searchable_when_it_is_in_the_space_that_answers(
    known: dict[Column, str], searchable: bool, said: str
):
    rows = {column: Known(recipe=name, failed=False) for column, name in known.items()}
    answer = why(video(VideoStatus.INDEXED, indexed_at=NOON), None, SPACE, rows, TODAY)
    assert answer.searchable is searchable
    assert said in answer.sentence
    assert (answer.next_step is None) == (searchable and "up to date" in answer.sentence)


def test_a_redo_that_failed_is_told_though_the_recipe_is_todays():
    known = {Column(Stage.SHOTS): Known(recipe="new", failed=True), HERE: Known(recipe="new", failed=False)}
    answer = why(video(VideoStatus.INDEXED, indexed_at=NOON), None, SPACE, known, TODAY)
    assert "the newest try to do shots again failed" in answer.sentence
    assert "dailies backfill shots" in (answer.next_step or "")


def test_a_space_that_lacks_the_video_is_named_in_the_next_step():
    known = {Column(Stage.SHOTS): Known(recipe="new", failed=False), HERE: Known(recipe="new", failed=False)}
    answer = why(video(VideoStatus.INDEXED, indexed_at=NOON), None, SPACE, known, TODAY | {Column(Stage.EMBED, 2): "x"})
    assert "embed would be done otherwise" in answer.sentence
    assert "dailies backfill embed --space 2" in (answer.next_step or "")


def test_without_an_active_encoder_nothing_is_searchable():
    answer = why(video(VideoStatus.INDEXED, indexed_at=NOON), None, None, {}, TODAY)
    assert (answer.searchable, "no encoder answers searches" in answer.sentence) == (False, True)
