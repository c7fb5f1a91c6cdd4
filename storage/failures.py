"""Where every exception of the object store's SDK becomes one of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

import urllib3.exceptions
from minio.error import InvalidResponseError, MinioAdminException, MinioException, S3Error, ServerError

from core.errors import DailiesError, ObjectChanged, ObjectMissing, StorageRefused, StorageUnavailable

#: What an exception class of the SDK means when its content says nothing better.
BY_CLASS: Final[dict[type[Exception], type[DailiesError]]] = {
    S3Error: StorageRefused,
    ServerError: StorageUnavailable,
    InvalidResponseError: StorageUnavailable,  # a proxy's error page, or a store that is still starting
    MinioAdminException: StorageRefused,
    MinioException: StorageRefused,
}

#: S3 error codes (the S3 API reference's list) that mean something better than "refused".
BY_CODE: Final[dict[str, type[DailiesError]]] = {
    "NoSuchKey": ObjectMissing,
    "NoSuchObject": ObjectMissing,
    "NoSuchVersion": ObjectMissing,
    "NoSuchUpload": ObjectMissing,
    "MethodNotAllowed": ObjectMissing,  # a delete marker
    "PreconditionFailed": ObjectChanged,
    "SlowDown": StorageUnavailable,
    "SlowDownRead": StorageUnavailable,
    "SlowDownWrite": StorageUnavailable,
    "InternalError": StorageUnavailable,
    "ServiceUnavailable": StorageUnavailable,
    "RequestTimeout": StorageUnavailable,
    "RequestTimeTooSkewed": StorageUnavailable,
    "ServerNotInitialized": StorageUnavailable,
    "XMinioServerNotInitialized": StorageUnavailable,
    "BadGateway": StorageUnavailable,
    "OperationAborted": StorageUnavailable,
    "IncompleteBody": StorageUnavailable,
    "Throttling": StorageUnavailable,
    "ThrottlingException": StorageUnavailable,
    "TooManyRequests": StorageUnavailable,
    "TooManyRequestsException": StorageUnavailable,
    "RateLimitExceeded": StorageUnavailable,
    "RequestLimitExceeded": StorageUnavailable,
}

#: Statuses below 500 that say "later": request timeout, too early, too many requests.
_LATER: Final = (408, 425, 429)


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Raise our errors for the SDK's; `what` names the operation and the object, never a secret.

    Raises:
        StorageUnavailable: no answer, or busy (transient).
        ObjectMissing, ObjectChanged, StorageRefused: permanent.
    """
    try:
        yield
    except S3Error as error:
        code = error.code or "unknown"
        kind = BY_CODE.get(code) or _by_status(getattr(error.response, "status", None), BY_CLASS[S3Error])
        raise kind(f"{what}: the object store answered {code}: {error.message}") from error
    except ServerError as error:
        # The answer to a HEAD has no body that could hold a code.
        raise _by_status(error.status_code, StorageRefused)(f"{what}: {_first_line(error)}") from error
    except tuple(BY_CLASS) as error:
        kind = next(ours for theirs, ours in BY_CLASS.items() if isinstance(error, theirs))
        raise kind(f"{what}: {_first_line(error)}") from error
    except (urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
        raise StorageUnavailable(f"{what}: the object store did not answer: {_first_line(error)}") from error


def _by_status(status: int | None, otherwise: type[DailiesError]) -> type[DailiesError]:
    return StorageUnavailable if status in _LATER or (status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR else otherwise


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:300]
