"""Every error of ours has an answer, and what is not the caller's business stays inside."""

from collections.abc import Iterator

import pytest

from core.errors import (
    DailiesError,
    InvalidMedia,
    NotFound,
    SpaceInUse,
    StorageUnavailable,
    TransientError,
    UnreadablePicture,
)
from service.errors import Refused, TooLarge, UnsatisfiableRange, answer_for
from service.webhook import accepted_forms

#: What the caller did, told with its details.
TOLD = (Refused, NotFound, UnreadablePicture, SpaceInUse)


def descendants(kind: type[DailiesError]) -> Iterator[type[DailiesError]]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


def made(kind: type[DailiesError]) -> DailiesError:
    if kind is InvalidMedia:
        return InvalidMedia("empty")
    return kind(10) if kind is UnsatisfiableRange else kind("secret-host:9000 said no")


@pytest.mark.parametrize("kind", sorted(descendants(DailiesError), key=lambda kind: kind.__name__))
def test_every_error_has_a_status_and_a_sentence(kind: type[DailiesError]) -> None:
    status, code, sentence = answer_for(made(kind))
    assert 400 <= status < 600
    assert code
    assert sentence.endswith((".", "!")) or issubclass(kind, TOLD)
    assert (status == 503) >= issubclass(kind, TransientError)
    if not issubclass(kind, TOLD):
        assert "secret-host" not in sentence


def test_our_own_troubles_are_told_without_their_details() -> None:
    error = StorageUnavailable("HTTPConnectionPool(host='10.0.0.7', port=9000): refused")
    assert answer_for(error) == (503, "unavailable", "The object store did not answer, or answered that it is busy.")


def test_what_the_caller_did_is_told_with_its_details() -> None:
    assert answer_for(TooLarge("At most 5 bytes.")) == (413, "too_large", "At most 5 bytes.")


@pytest.mark.parametrize(
    ("token", "forms"),
    [
        ("", ()),
        ("  ", ()),
        ("word", ("Bearer word", "word")),
        (" word\n", ("Bearer word", "word")),
        ("Basic abc", ("Basic abc",)),
    ],
)
def test_forms_of_the_authorization_header(token: str, forms: tuple[str, ...]) -> None:
    assert accepted_forms(token) == forms
