"""Where errors become answers: one table from classes to HTTP statuses, one shape for every error.

The body is `{"error": code, "message": sentence}`. Our own messages may name hosts and keys; those of errors that
are not the caller's fault stay in the log, and the caller reads the class's sentence.
"""

import logging
from typing import Any, Final

import sqlalchemy.exc
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from core.errors import (
    DailiesError,
    DatabaseUnavailable,
    EncoderUnhealthy,
    InvalidMedia,
    MissingDependency,
    NotFound,
    ObjectChanged,
    ObjectMissing,
    PermanentError,
    TransientError,
)

log = logging.getLogger(__name__)

#: Seconds after which a caller may try again when something of ours does not answer.
RETRY_AFTER_S: Final = 5


class Refused(PermanentError):
    """The request cannot be served."""

    @property
    def headers(self) -> dict[str, str]:
        """Headers that the answer carries."""
        return {}


class NotAuthorised(Refused):
    """The Authorization header does not hold the configured token."""

    @property
    def headers(self) -> dict[str, str]:
        """Name the scheme, as a 401 must."""
        return {"WWW-Authenticate": "Bearer"}


class TooLarge(Refused):
    """The request is larger than what is accepted."""


class MalformedEvent(Refused):
    """The event is none of the known dialects: MinIO, AWS S3, EventBridge, SNS, RustFS, SeaweedFS."""


class MalformedRequest(Refused):
    """The request is malformed."""


class NotUploaded(Refused):
    """The object has not been uploaded yet: PUT it to the upload_url first."""


class OtherEncoder(Refused):
    """Searches are answered by another encoder than the one this service is configured for."""


class UnsatisfiableRange(Refused):
    """The range lies outside the file."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"The range lies outside the file, which has {size_bytes} bytes.")
        self.size_bytes = size_bytes

    @property
    def headers(self) -> dict[str, str]:
        """Tell the file's size."""
        return {"Content-Range": f"bytes */{self.size_bytes}"}


#: Status and code of each class; an error is answered by its nearest ancestor here.
ANSWERS: Final[dict[type[DailiesError], tuple[int, str]]] = {
    DailiesError: (500, "internal"),
    TransientError: (503, "unavailable"),
    PermanentError: (500, "internal"),
    NotFound: (404, "not_found"),
    ObjectMissing: (404, "object_missing"),
    ObjectChanged: (409, "object_changed"),
    InvalidMedia: (422, "invalid_media"),
    EncoderUnhealthy: (503, "encoder_unhealthy"),
    MissingDependency: (503, "missing_dependency"),
    Refused: (400, "refused"),
    NotAuthorised: (401, "not_authorised"),
    TooLarge: (413, "too_large"),
    MalformedEvent: (422, "malformed_event"),
    MalformedRequest: (422, "malformed_request"),
    NotUploaded: (409, "not_uploaded"),
    OtherEncoder: (409, "other_encoder"),
    UnsatisfiableRange: (416, "range_not_satisfiable"),
}
#: Errors whose own message is written for the caller.
_FOR_THE_CALLER: Final = (Refused, NotFound, InvalidMedia)


def answer_for(error: DailiesError) -> tuple[int, str, str]:
    """Give status, code and sentence of an error."""
    kind = next(ancestor for ancestor in type(error).__mro__ if ancestor in ANSWERS)
    status, code = ANSWERS[kind]
    return status, code, sentence_for(error)


def sentence_for(error: DailiesError) -> str:
    """Give what a caller may read of an error."""
    if isinstance(error, _FOR_THE_CALLER):
        return str(error)
    return (type(error).__doc__ or "Something went wrong; it has been logged.").strip()


def _json(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": code, "message": message}, status_code=status, headers=headers)


def answer_errors(app: FastAPI) -> None:
    """Make every error of this application leave in the one shape."""

    @app.exception_handler(DailiesError)
    def ours(request: Request, error: DailiesError) -> JSONResponse:
        status, code, sentence = answer_for(error)
        headers = error.headers if isinstance(error, Refused) else {}
        if status >= 500:  # noqa: PLR2004 - not the caller's fault
            log.error("%s %s: %s: %s", request.method, request.url.path, type(error).__name__, error)
        if isinstance(error, TransientError):
            headers["Retry-After"] = str(RETRY_AFTER_S)
        return _json(status, code, sentence, headers)

    @app.exception_handler(sqlalchemy.exc.TimeoutError)
    def no_connection_left(request: Request, error: sqlalchemy.exc.TimeoutError) -> JSONResponse:
        return ours(request, DatabaseUnavailable(str(error)))

    @app.exception_handler(RequestValidationError)
    def malformed(_request: Request, error: RequestValidationError) -> JSONResponse:
        return _json(422, "malformed_request", "; ".join(_complaint(each) for each in error.errors()))

    @app.exception_handler(HTTPException)
    def http(_request: Request, error: HTTPException) -> JSONResponse:
        codes = {404: "not_found", 405: "method_not_allowed"}
        headers = dict(error.headers) if error.headers else None
        return _json(error.status_code, codes.get(error.status_code, "refused"), f"{error.detail}.", headers)

    @app.exception_handler(Exception)
    def unexpected(_request: Request, _error: Exception) -> JSONResponse:
        # The server logs it with its traceback; the caller learns nothing of our insides.
        return _json(500, "internal", "Something went wrong; it has been logged.")


def _complaint(each: dict[str, Any]) -> str:
    where = ".".join(str(step) for step in each["loc"] if step not in {"body", "query", "path"})
    return f"{where}: {each['msg']}" if where else str(each["msg"])
