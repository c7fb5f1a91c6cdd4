"""Result records are read as far as they can be: what an older build or an accident wrote is done again."""

import json

import pytest

from core.values import Film, StoredFile
from storage.records import named_files, results_in

FILE = {"key": "a", "size_bytes": 1, "etag": "e"}


def record(value: object) -> bytes:
    """Write a record as Prefect's JSON serializer does: the result is a string inside it."""
    return json.dumps({"metadata": {}, "result": json.dumps(value)}).encode()


def test_every_value_of_a_kind_is_found_however_deep():
    film = {"fingerprint": "f", "file": FILE}
    assert results_in(record([film, {"inside": film}]), Film) == [Film(fingerprint="f", file=StoredFile(**FILE))] * 2


@pytest.mark.parametrize(
    "older",
    [
        {"fingerprint": "f"},
        {"fingerprint": "f", "file": {"key": "a"}},
        {"fingerprint": "f", "file": {**FILE, "size_bytes": "many"}},
    ],
    ids=["no file", "a file without its size", "a size of another kind"],
)
def test_what_an_older_build_wrote_otherwise_is_passed_over(older: dict[str, object]):
    assert results_in(record([older, {"fingerprint": "f", "file": FILE}]), Film) == [
        Film(fingerprint="f", file=StoredFile(**FILE))
    ]


def test_a_damaged_record_holds_no_results_and_does_not_pretend_to_name_no_files():
    assert results_in(record([])[:-3], Film) == []
    with pytest.raises(ValueError):
        named_files(record([])[:-3])
