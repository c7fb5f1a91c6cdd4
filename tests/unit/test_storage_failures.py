"""Every exception the SDK can raise is one of ours before it leaves storage/."""

import inspect
import pkgutil
from importlib import import_module

import minio
import pytest
import urllib3.exceptions
from minio.error import MinioException, S3Error, ServerError
from urllib3 import HTTPResponse

from core.errors import ObjectChanged, ObjectMissing, PermanentError, StorageRefused, StorageUnavailable, TransientError
from storage.failures import BY_CLASS, BY_CODE, storage_errors


def sdk_exceptions() -> set[type[Exception]]:
    """Every exception class that any module of the SDK defines."""
    found: set[type[Exception]] = set()
    for module in pkgutil.walk_packages(minio.__path__, "minio."):
        for _, member in inspect.getmembers(import_module(module.name), inspect.isclass):
            if issubclass(member, Exception) and member.__module__.startswith("minio"):
                found.add(member)
    return found


def test_every_exception_class_of_the_sdk_is_classified():
    assert sdk_exceptions() - BY_CLASS.keys() == set()
    assert len(sdk_exceptions()) >= 4


@pytest.mark.parametrize("kind", [*BY_CLASS.values(), *BY_CODE.values()])
def test_every_class_and_code_leads_to_a_retry_or_to_none(kind: type[Exception]):
    assert issubclass(kind, TransientError | PermanentError)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("NoSuchKey", ObjectMissing),
        ("PreconditionFailed", ObjectChanged),
        ("SlowDown", StorageUnavailable),
        ("Throttling", StorageUnavailable),
        ("TooManyRequests", StorageUnavailable),
        ("RateLimitExceeded", StorageUnavailable),
        ("AccessDenied", StorageRefused),
        ("SomethingNew", StorageRefused),
    ],
)
def test_an_error_code_says_what_it_means(code: str, expected: type[Exception]):
    with pytest.raises(expected, match=f"Reading a/b: the object store answered {code}"), storage_errors("Reading a/b"):
        raise S3Error(None, code, "why", "/a/b", "1", "2")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, StorageRefused),
        (403, StorageRefused),
        (408, StorageUnavailable),
        (425, StorageUnavailable),
        (429, StorageUnavailable),
        (500, StorageUnavailable),
        (507, StorageUnavailable),
    ],
)
def test_a_status_says_what_it_means_where_no_known_code_does(status: int, expected: type[Exception]):
    with pytest.raises(expected), storage_errors("Looking at a/b"):
        raise ServerError(f"server failed with HTTP status code {status}", status)
    with pytest.raises(expected), storage_errors("Reading a/b"):
        raise S3Error(HTTPResponse(status=status), "SomethingNew", "why", "/a/b", "1", "2")
    with pytest.raises(ObjectMissing), storage_errors("Reading a/b"):
        raise S3Error(HTTPResponse(status=status), "NoSuchKey", "why", "/a/b", "1", "2")


@pytest.mark.parametrize(
    "error",
    [
        urllib3.exceptions.MaxRetryError(None, "/", None),  # type: ignore[arg-type]
        urllib3.exceptions.ProtocolError("reset"),
        urllib3.exceptions.ReadTimeoutError(None, "/", "slow"),  # type: ignore[arg-type]
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_broken_connection_may_be_tried_again(error: Exception):
    with pytest.raises(StorageUnavailable), storage_errors("Reading"):
        raise error


def test_the_cause_is_kept():
    with pytest.raises(StorageRefused) as caught, storage_errors("Reading"):
        raise MinioException("odd")
    assert isinstance(caught.value.__cause__, MinioException)
