"""Talks to the Dailies service over HTTP, as any other client would."""

import mimetypes
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit
from uuid import UUID

import httpx

from core.errors import NotFound, PermanentError, TransientError

#: A JSON object of the service; see service/documents.py for its keys.
Document = dict[str, Any]

BLOCK_BYTES: Final = 1 << 20
#: The first search of a service loads its network.
TIMEOUT: Final = httpx.Timeout(60.0, connect=5.0)
#: A check loads a network and may make an index; a large space takes minutes to remove.
CHECK_TIMEOUT: Final = httpx.Timeout(1800.0, connect=5.0)
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_DIGITS: Final = re.compile(r"[0-9a-fA-F-]*[0-9a-fA-F][0-9a-fA-F-]*")
#: Videos asked for at once.
PAGE: Final = 500


class ServiceUnreachable(TransientError):
    """The service did not answer."""


class RequestRefused(PermanentError):
    """The service refused the request."""


class UploadFailed(TransientError):
    """The file did not reach the object store."""


class Service:
    """One running Dailies."""

    def __init__(self, url: str, http: httpx.Client) -> None:
        self.url = url
        self._http = http

    def announce(self, path: Path, title: str | None, description: str | None) -> Document:
        """Announce an upload; give its ticket: video_id, upload_url and more."""
        body = {
            "file_name": path.name,
            "title": title,
            "description": description,
            "content_type": mimetypes.guess_type(path.name)[0],
            "size_bytes": path.stat().st_size,
        }
        ticket: Document = self._ask("POST", "/videos/upload/init", json=body)
        return ticket

    def complete(self, video_id: str) -> Document:
        """Say that the file is in the store."""
        answer: Document = self._ask("POST", "/videos/upload/complete", json={"video_id": video_id})
        return answer

    def status(self, video_id: str) -> Document:
        """Give how far a video is."""
        answer: Document = self._ask("GET", f"/videos/{video_id}/status")
        return answer

    def video(self, video_id: str) -> Document:
        """Give everything about one video."""
        answer: Document = self._ask("GET", f"/videos/{video_id}")
        return answer

    def rerun(self, video_id: str, from_stage: str | None) -> Document:
        """Resume a video; give the run that does it."""
        answer: Document = self._ask("POST", f"/videos/{video_id}/rerun", json={"from_stage": from_stage})
        return answer

    def redrive(self, **choice: Any) -> Document:
        """Rerun a group of videos; see RedriveRequest in service/reruns.py."""
        answer: Document = self._ask("POST", "/redrive", json=choice)
        return answer

    def adopt(self, *, dry_run: bool) -> Document:
        """Count the older objects of the bucket, or let them come in."""
        answer: Document = self._ask("POST", "/videos/upload/adopt", json={"dry_run": dry_run})
        return answer

    def failures(self) -> list[Document]:
        """Give the groups of failed videos."""
        answer: list[Document] = self._ask("GET", "/failures")
        return answer

    def encoders(self) -> list[Document]:
        """Give every embedding space and its coverage."""
        answer: list[Document] = self._ask("GET", "/encoders")
        return answer

    def coverage(self) -> list[Document]:
        """Give the coverage of every stage and space."""
        answer: list[Document] = self._ask("GET", "/coverage")
        return answer

    def lacking(self, stage: str, limit: int, **filters: str) -> list[Document]:
        """List the videos that are not up to date in a stage; filters are `state` and `space`."""
        return self._pages(f"/coverage/{stage}/videos", limit, filters)

    def why(self, video_id: str) -> Document:
        """Say why a video is not searchable."""
        answer: Document = self._ask("GET", f"/videos/{video_id}/why")
        return answer

    def backfill(self, body: Document) -> Document:
        """Start a backfill, or say what it would do."""
        answer: Document = self._ask("POST", "/backfill", json=body)
        return answer

    def activate(self, name: str, *, force: bool) -> Document:
        """Let a space answer searches; what stood against it is in the answer."""
        body = {"name": name, "force": force}
        answer: Document = self._ask("POST", "/encoders/activate", json=body, timeout=CHECK_TIMEOUT)
        return answer

    def drop_space(self, name: str) -> Document:
        """Remove a space that does not answer searches."""
        answer: Document = self._ask("POST", "/encoders/drop", json={"name": name}, timeout=CHECK_TIMEOUT)
        return answer

    def videos(self, limit: int, **filters: str) -> list[Document]:
        """List videos, newest first; filters are `status`, `id` (its first digits) and `key`."""
        return self._pages("/videos", limit, filters)

    def search(self, text: str, limit: int, page: int = 1, **filters: Any) -> list[Document]:
        """Find scenes by a text, best first; for the filters see Choice in service/finding.py."""
        return self._page(page, "GET", "/search", params={"q": text, "limit": limit, **filters})

    def search_by_image(self, image: Path, limit: int, page: int = 1, **filters: Any) -> list[Document]:
        """Find scenes that look like a picture."""
        content = image.read_bytes()
        return self._page(page, "POST", "/search/image", params={"limit": limit, **filters}, content=content)

    def similar(self, scene_id: str, limit: int, page: int = 1, **filters: Any) -> list[Document]:
        """Find scenes that look like another one."""
        return self._page(page, "GET", f"/scenes/{quote(scene_id)}/similar", params={"limit": limit, **filters})

    def _page(self, number: int, method: str, path: str, *, params: dict[str, Any], **what: Any) -> list[Document]:
        """Follow the `Link` headers to a page; give nothing beyond the last one."""
        answer = self._answer(method, path, params=params, **what)
        for _ in range(number - 1):
            following = answer.links.get("next")
            if following is None:
                return []
            answer = self._answer(method, following["url"], **what)
        hits: list[Document] = answer.json()
        return hits

    def resolve(self, text: str) -> str:
        """Give the whole id of the one video whose id begins with `text`.

        Raises:
            NotFound: there is none, or there are several (permanent).
        """
        if _is_uuid(text):
            return text
        if not _DIGITS.fullmatch(text):
            raise NotFound(f"{text} is no video's id: give its first digits. List them with `dailies videos`.")
        found = self.videos(2, id=text)
        if not found:
            raise NotFound(f"There is no video whose id begins with {text}. List them with `dailies videos`.")
        if len(found) > 1:
            raise NotFound(f"Several videos have an id that begins with {text}: give more digits.")
        return str(found[0]["video_id"])

    def _pages(self, path: str, limit: int, filters: dict[str, str]) -> list[Document]:
        """Give the videos of a list, one page after the other."""
        found: list[Document] = []
        cursor: str | None = None
        while len(found) < limit:
            asked: dict[str, Any] = {**filters, "limit": min(PAGE, limit - len(found))}
            page: Document = self._ask("GET", path, params={**asked, **({"cursor": cursor} if cursor else {})})
            found += page["videos"]
            cursor = page["next"]
            if cursor is None:
                break
        return found

    def _ask(self, method: str, path: str, **what: Any) -> Any:
        return self._answer(method, path, **what).json()

    def _answer(self, method: str, path: str, **what: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, f"{self.url}{path}", **what)
        except httpx.TransportError as error:
            raise ServiceUnreachable(
                f"No service answers at {self.url} ({type(error).__name__}). "
                "Start everything with `dailies up`, or see `dailies status`."
            ) from error
        if answer.is_success:
            return answer
        message = _message(answer)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NotFound(message)
        if answer.is_server_error:
            raise ServiceUnreachable(message)
        raise RequestRefused(message)


@contextmanager
def service_of(data: Path) -> Iterator[Service]:
    """Connect to the service of the stack in this data folder, or to the one that DAILIES_SERVICE__URL names.

    Raises:
        NotFound: there is neither (permanent).
    """
    url = _url_of(data)
    # A proxy for the outside world must not stand between the parts of one machine.
    with httpx.Client(timeout=TIMEOUT, trust_env=urlsplit(url).hostname not in _LOOPBACK) as http:
        yield Service(url, http)


def _url_of(data: Path) -> str:
    from deployments.embedded import stack

    try:
        return stack.environment(data)["DAILIES_SERVICE__URL"]
    except NotFound:
        url = os.environ.get("DAILIES_SERVICE__URL")
        if not url:
            raise
        return url.rstrip("/")


def put(ticket: Document, path: Path, on_bytes: Callable[[int], None]) -> None:
    """Stream a file to the address of its ticket.

    Raises:
        UploadFailed: the store did not take it (transient).
    """
    url = str(ticket["upload_url"])
    headers = {"Content-Length": str(path.stat().st_size)}
    if kind := mimetypes.guess_type(path.name)[0]:
        headers["Content-Type"] = kind
    try:
        with httpx.Client(timeout=TIMEOUT, trust_env=urlsplit(url).hostname not in _LOOPBACK) as http:
            answer = http.put(url, content=_blocks(path, on_bytes), headers=headers)
    except (httpx.TransportError, OSError) as error:
        raise UploadFailed(f"{path}: the upload broke off ({type(error).__name__}: {error}). Try again.") from error
    if not answer.is_success:
        raise UploadFailed(f"{path}: the object store answered {answer.status_code}: {answer.text[:200].strip()}")


def _blocks(path: Path, on_bytes: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block
            on_bytes(len(block))


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"The service answered {answer.status_code}."


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
