"""Where a list of hits goes on: opaque to callers, steady while videos come and go."""

import base64
import binascii
import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from service.errors import MalformedRequest, StaleCursor

_SEPARATOR: Final = "|"


@dataclass(frozen=True)
class Place:
    """After which hit the next page begins."""

    #: When the first page was made: videos that were announced since stay out of the later ones.
    as_of: dt.datetime
    #: Names search and space: a place in another list means nothing.
    search: str
    #: Hits shown so far, for when the last of them is gone.
    shown: int
    last: UUID
    #: How deep the page before looked: this one looks as deep, so that its list begins like that one.
    depth: int

    def after(self, scene_ids: Sequence[UUID]) -> int:
        """Give the index of the first hit not shown yet."""
        try:
            return scene_ids.index(self.last) + 1
        except ValueError:
            return self.shown


def name_of(*what: Any) -> str:
    """Name a search by everything that decides its hits."""
    return hashlib.sha256(repr(what).encode()).hexdigest()[:12]


def written(place: Place) -> str:
    """Write a place down."""
    fields = (place.as_of.isoformat(), place.search, str(place.shown), str(place.last), str(place.depth))
    return base64.urlsafe_b64encode(_SEPARATOR.join(fields).encode()).decode()


def read(cursor: str, search: str) -> Place:
    """Read a place in the list of this search.

    Raises:
        MalformedRequest: this is no cursor of ours (permanent).
        StaleCursor: it belongs to another search or embedding space (permanent).
    """
    try:
        as_of, name, shown, last, depth = base64.urlsafe_b64decode(cursor).decode().split(_SEPARATOR)
        place = Place(_instant(as_of), name, max(0, int(shown)), UUID(last), int(depth))
    except (ValueError, binascii.Error) as error:
        raise MalformedRequest("cursor: take it from the `Link` header of the page before.") from error
    if place.search != search:
        raise StaleCursor
    return place


def _instant(written: str) -> dt.datetime:
    """Read a moment.

    Raises:
        ValueError: it is none, or of no time zone, so that no other moment compares with it.
    """
    instant = dt.datetime.fromisoformat(written)
    if instant.tzinfo is None:
        raise ValueError(written)
    return instant
