"""What every request needs: the settings, the stores, and a way to have new inbox rows dispatched."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from core.settings import Settings
from models.session import transaction
from storage.client import ObjectStore, object_store


@dataclass(frozen=True)
class Door:
    """The way of one process to records, objects and the dispatcher."""

    settings: Settings
    #: Says that an inbox row was committed; returns at once.
    wake: Callable[[], None]

    @property
    def store(self) -> ObjectStore:
        """Client of the object store."""
        return object_store(self.settings.storage)

    def transaction(self) -> AbstractContextManager[Session]:
        """Open a session in one transaction."""
        return transaction(self.settings.database)


def _door(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


DoorOf = Annotated[Door, Depends(_door)]
