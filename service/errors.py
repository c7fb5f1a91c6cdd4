"""Where errors become answers: one table from classes to HTTP statuses, one shape for every error.

The body is `{"error": code, "message": sentence}`. Our own messages may name hosts and keys; those of errors that
are not the caller's fault stay in the log, and the caller reads the class's sentence.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy.exc
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
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
    SpaceInUse,
    TransientError,
    UnreadablePicture,
)
from core.logs import bound
from service.pages import page, wants_page

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
    """Searches are answered by an encoder that is not on this machine."""


class StaleCursor(Refused):
    """The cursor belongs to another search, or the encoder was changed since: start again without it."""


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
    UnreadablePicture: (422, "unreadable_picture"),
    EncoderUnhealthy: (503, "encoder_unhealthy"),
    MissingDependency: (503, "missing_dependency"),
    SpaceInUse: (409, "space_in_use"),
    Refused: (400, "refused"),
    NotAuthorised: (401, "not_authorised"),
    TooLarge: (413, "too_large"),
    MalformedEvent: (422, "malformed_event"),
    MalformedRequest: (422, "malformed_request"),
    NotUploaded: (409, "not_uploaded"),
    OtherEncoder: (409, "other_encoder"),
    StaleCursor: (409, "stale_cursor"),
    UnsatisfiableRange: (416, "range_not_satisfiable"),
}
#: Errors whose own message is written for the caller.
_FOR_THE_CALLER: Final = (Refused, NotFound, InvalidMedia, UnreadablePicture, SpaceInUse)


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


#: Heads of the pages that tell an error to somebody with a browser; others are ours.
_HEADS: Final = {404: "There is nothing here", 409: "Not now", 413: "Too large", 422: "That cannot be searched for"}


def _answer(
    request: Request, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Tell an error: as the one document, or as a page to who prefers pages."""
    if wants_page(request):
        answer: Response = page("error.html", status, title=_HEADS.get(status, "Something went wrong"), message=message)
        answer.headers.update(headers or {})
        return answer
    return JSONResponse({"error": code, "message": message}, status_code=status, headers=dict(headers or {}))


def answer_errors(app: FastAPI) -> None:
    """Make every error of this application leave in the one shape."""

    @app.exception_handler(DailiesError)
    def ours(request: Request, error: DailiesError) -> Response:
        status, code, sentence = answer_for(error)
        headers = error.headers if isinstance(error, Refused) else {}
        if status >= 500:  # noqa: PLR2004 - not the caller's fault
            with bound(video_id=request.path_params.get("video_id")):
                log.error("%s %s: %s: %s", request.method, request.url.path, type(error).__name__, error)
        if isinstance(error, TransientError):
            headers["Retry-After"] = str(RETRY_AFTER_S)
        return _answer(request, status, code, sentence, headers)

    @app.exception_handler(sqlalchemy.exc.TimeoutError)
    def no_connection_left(request: Request, error: sqlalchemy.exc.TimeoutError) -> Response:
        return ours(request, DatabaseUnavailable(str(error)))

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, error: RequestValidationError) -> Response:
        return _answer(request, 422, "malformed_request", "; ".join(_complaint(each) for each in error.errors()))

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        codes = {404: "not_found", 405: "method_not_allowed"}
        return _answer(
            request, error.status_code, codes.get(error.status_code, "refused"), f"{error.detail}.", error.headers
        )

    @app.exception_handler(Exception)
    def unexpected(request: Request, _error: Exception) -> Response:
        # The server logs it with its traceback; the caller learns nothing of our insides.
        return _answer(request, 500, "internal", "Something went wrong; it has been logged.")


def _complaint(each: dict[str, Any]) -> str:
    where = ".".join(str(step) for step in each["loc"] if step not in {"body", "query", "path"})
    return f"{where}: {each['msg']}" if where else str(each["msg"])
