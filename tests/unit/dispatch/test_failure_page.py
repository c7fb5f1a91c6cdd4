"""A failed run's page says what failed and what Retry does, in words."""

from uuid import UUID

from core.stages import Stage
from dispatch.failure_page import page
from models.states import StageState

VIDEO = UUID("3f2a91c0-0000-4000-8000-000000000000")
STATES = {Stage.VALIDATE: StageState.REUSED, Stage.TRANSCODE: StageState.DONE, Stage.SHOTS: StageState.FAILED}


def test_the_page_names_stage_class_sentence_and_the_last_lines_of_stderr():
    text = page(VIDEO, "Holiday", "shots", "EncoderRejected", "It ended with 1.\nline one\nline two", "abc123", STATES)
    assert "Failed in shots: `EncoderRejected`" in text
    assert "It ended with 1." in text
    assert "```text\nline one\nline two\n```" in text


def test_the_page_says_what_retry_reuses_and_what_it_does_again():
    text = page(VIDEO, "Holiday", "shots", "X", "m", "abc123", STATES)
    assert "- reused: validate, transcode\n" in text
    assert "- done again: shots, stills, embed, publish" in text
    assert "dailies rerun 3f2a91c0" in text
    assert "dailies rerun --error abc123" in text


def test_a_crash_is_laid_to_the_stage_that_was_at_work():
    text = page(VIDEO, "Holiday", None, "Crashed", "m", None, {Stage.VALIDATE: StageState.RUNNING})
    assert "Failed in validate: `Crashed`" in text
    assert "reused: nothing is finished yet" in text
