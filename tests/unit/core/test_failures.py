"""Failures of one kind share a fingerprint, failures of two kinds do not."""

import pickle
import re
from pathlib import Path

import pytest

from core.errors import DailiesError, InvalidMedia, PermanentError, TransientError
from core.failures import error_fingerprint, normalise


def test_ids_numbers_paths_and_hashes_do_not_tell_failures_apart():
    one = "ffmpeg ended with 187 on /data/scratch/0d2f6f9c-5c8e-4c55-9c2b-111111111111/source after 12.5 s"
    two = "ffmpeg ended with 1 on /mnt/other/7a2f6f9c-5c8e-4c55-9c2b-222222222222/source after 3 s"
    assert normalise(one) == normalise(two)
    assert error_fingerprint("transcode", "EncoderRejected", one) == error_fingerprint(
        "transcode", "EncoderRejected", two
    )


def test_the_name_of_an_object_does_not_tell_failures_apart():
    assert normalise("Reading uploads/holiday.mp4: access denied") == normalise(
        "Reading uploads/a/b-2.mkv: access denied"
    )
    assert normalise("Reading uploads/holiday.mp4: access denied") != normalise(
        "Reading uploads/holiday.mp4: no answer"
    )


@pytest.mark.parametrize(
    ("stage", "error_class", "message"), [("embed", "A", "m"), ("shots", "B", "m"), ("shots", "A", "n")]
)
def test_stage_class_and_message_each_tell_failures_apart(stage: str, error_class: str, message: str):
    assert error_fingerprint("shots", "A", "m") != error_fingerprint(stage, error_class, message)


def test_a_verdict_keeps_its_reason_across_processes():
    verdict = pickle.loads(pickle.dumps(InvalidMedia("empty")))
    assert (verdict.reason, verdict.sentence) == ("empty", InvalidMedia.SENTENCES["empty"])


def test_an_unknown_reason_code_is_a_bug():
    with pytest.raises(ValueError, match="unknown reason code"):
        InvalidMedia("because")


def test_every_error_is_transient_or_permanent_and_stands_in_the_tree_of_the_docstring():
    import core.errors

    tree = set(re.findall(r"[├└]─ ([A-Z]\w+)", core.errors.__doc__ or ""))
    pending, classes = [DailiesError], set()
    while pending:
        for sub in pending.pop().__subclasses__():
            if sub.__module__ == "core.errors":
                classes.add(sub.__name__)
                pending.append(sub)
                assert issubclass(sub, TransientError | PermanentError)
    assert classes == tree


def test_every_reason_code_is_explained_in_the_docs():
    table = (Path(__file__).parents[3] / "docs" / "verdicts.md").read_text()
    assert [reason for reason in InvalidMedia.SENTENCES if f"`{reason}`" not in table] == []
