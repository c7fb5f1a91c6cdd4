"""What object stores say when an object lands, in six dialects; pure, and every word of it only a hint.

Events come late, twice, in any order or never. So nothing but bucket and key is read out of them: size, etag
and version are taken from our own look at the store.
"""

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import unquote_plus

from service.errors import MalformedEvent
from storage.keys import names_an_upload

#: Where SeaweedFS keeps buckets in its own tree.
_BUCKETS: Final = "/buckets/"
_SNS_TYPES: Final = frozenset({"Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"})


class Hint(NamedTuple):
    """An object that may have been created."""

    bucket: str
    key: str


def payload_of(body: bytes) -> object:
    """Decode a request's body; an empty one is a probe and gives an empty mapping.

    Raises:
        MalformedEvent: it is not JSON (permanent).
    """
    if not body.strip():
        return {}
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedEvent("The body is not JSON.") from error


def hints_in(payload: object, bucket: str) -> tuple[Hint, ...]:
    """Give the objects that this event says were created in `bucket`, each once, in the event's order.

    Deletions, directories, parts of multipart uploads, test messages and other buckets give nothing.

    Raises:
        MalformedEvent: the payload is none of the dialects (permanent).
    """
    hints = (hint for hint in _hints(payload) if hint.bucket == bucket and names_an_upload(hint.key))
    return tuple(dict.fromkeys(hints))


def _hints(payload: object) -> Iterator[Hint]:
    if not isinstance(payload, dict):
        raise MalformedEvent
    match payload:
        case {"Records": list(records)}:
            for record in records:
                yield from _from_record(record)
        case {"detail-type": str(kind), "detail": dict(detail)}:
            yield from _from_eventbridge(kind, detail)
        case {"Type": str(kind)} if kind in _SNS_TYPES:
            yield from _from_sns(kind, payload)
        case {"event_type": str(kind), "key": str(path)}:
            yield from _from_seaweedfs(kind, path, payload.get("message"))
        case {"Event": "s3:TestEvent"}:
            return
        case _ if not payload:
            return
        case _:
            raise MalformedEvent


def _from_record(record: object) -> Iterator[Hint]:
    """MinIO, AWS S3 and RustFS: the name with or without `s3:`, the key form-encoded."""
    version = record.get("eventVersion", "2.0") if isinstance(record, dict) else ""
    match record:
        case {"eventName": str(name), "s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key)}}}:
            if name.removeprefix("s3:").startswith("ObjectCreated:") and str(version).startswith("2."):
                yield Hint(bucket, unquote_plus(key))
        case _:
            return


def _from_eventbridge(kind: str, detail: dict[str, Any]) -> Iterator[Hint]:
    """AWS EventBridge: the key as it is."""
    match detail:
        case {"bucket": {"name": str(bucket)}, "object": {"key": str(key)}} if kind == "Object Created":
            yield Hint(bucket, key)
        case _:
            return


def _from_sns(kind: str, payload: dict[str, Any]) -> Iterator[Hint]:
    """AWS SNS: another event as a string. Its SubscribeURL is never fetched: a person confirms subscriptions."""
    message = payload.get("Message")
    if kind != "Notification" or not isinstance(message, str):
        return
    inner = payload_of(message.encode(errors="replace"))
    if isinstance(inner, dict) and "Type" in inner:
        raise MalformedEvent("A notification inside a notification is not read.")
    yield from _hints(inner)


def _from_seaweedfs(kind: str, path: str, message: object) -> Iterator[Hint]:
    """SeaweedFS: every change of its tree; an overwrite is an update, a deletion has no new entry."""
    if kind not in {"create", "update", "rename"} or not isinstance(message, dict):
        return
    match message.get("new_entry"):
        case {"is_directory": True}:
            return
        case {"name": str(name)} if isinstance(parent := message.get("new_parent_path"), str) and parent:
            path = f"{parent}/{name}"  # a rename's own path is the old one
        case dict():
            pass
        case _:
            return
    bucket, slash, key = path.removeprefix(_BUCKETS).partition("/")
    if path.startswith(_BUCKETS) and slash:
        yield Hint(bucket, key)
