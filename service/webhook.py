"""The object store's webhook: authenticated, recorded in the inbox, dispatched after the reply."""

import hmac
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel

from core.agreed import EVENTS_PATH
from core.errors import ObjectMissing
from models import inbox
from service.bodies import read_body
from service.door import Door, DoorOf
from service.errors import NotAuthorised
from service.events import Hint, hints_in, payload_of
from storage import keys

router = APIRouter(tags=["events"])

#: SeaweedFS lists every chunk of a large object, before and after an overwrite; other senders need a few KB.
MAX_BODY_BYTES: Final = 8 << 20


class Receipt(BaseModel):
    """What became of an event."""

    #: Source versions that are in the inbox now, new or known.
    recorded: int
    #: Objects that were named but are not in the store (any more).
    missing: int


def accepted_forms(token: str) -> tuple[str, ...]:
    """Give the values of the Authorization header that prove the token; none for an empty token.

    Senders put one word after `Bearer` (MinIO, SeaweedFS) or send it as it is; two words are sent verbatim.
    """
    token = token.strip()
    if not token:
        return ()
    return (token,) if " " in token else (f"Bearer {token}", token)


async def authenticated(door: DoorOf, authorization: Annotated[str, Header()] = "") -> None:
    """Let only the store in.

    Raises:
        NotAuthorised: wrong or missing token, or none is configured (permanent).
    """
    forms = accepted_forms(door.settings.events.token.get_secret_value())
    # Every form is compared, each in constant time: an answer's delay tells nothing about the token.
    matches = [hmac.compare_digest(authorization.encode("latin-1"), form.encode()) for form in forms]
    if not any(matches):
        raise NotAuthorised


async def limited_body(request: Request) -> bytes:
    """Read the body up to the limit.

    Raises:
        TooLarge: permanent.
    """
    return await read_body(request, MAX_BODY_BYTES, f"An event of more than {MAX_BODY_BYTES} bytes is not read.")


@router.head(EVENTS_PATH, include_in_schema=False)
@router.get(EVENTS_PATH)
def probe() -> dict[str, str]:
    """Answer a store that asks whether its target is there."""
    return {"status": "ok"}


@router.post(EVENTS_PATH, dependencies=[Depends(authenticated)])
def object_created(door: DoorOf, body: Annotated[bytes, Depends(limited_body)]) -> Receipt:
    """Record the uploads that an event names; reply when they are committed, dispatch afterwards."""
    hints = hints_in(payload_of(body), door.settings.storage.uploads_bucket)
    recorded = sum(_recorded(door, hint) for hint in hints)
    if recorded:
        door.wake()
    return Receipt(recorded=recorded, missing=len(hints) - recorded)


def _recorded(door: Door, hint: Hint) -> bool:
    """Look at the object and put its version into the inbox; False when it is not there.

    Raises:
        StorageUnavailable, DatabaseUnavailable: transient; the sender tries again.
    """
    try:
        source = door.store.source_version(hint.bucket, hint.key)
    except ObjectMissing:
        return False
    with door.transaction() as session:
        inbox.record_source(session, source, owner_id=door.settings.owner_id, announced=keys.announced_video(hint.key))
    return True
