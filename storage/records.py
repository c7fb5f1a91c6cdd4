"""Result records: which stored files one names."""

import json
from contextlib import suppress
from typing import Any, TypeVar

from pydantic import ValidationError

from core.values import StoredFile, Value

V = TypeVar("V", bound=Value)


def named_files(record: bytes) -> list[StoredFile]:
    """Read every stored file named anywhere in a result record.

    Raises:
        ValueError: it is no record, or a damaged one.
    """
    return [
        StoredFile.model_validate(node)
        for node in _nodes(json.loads(record))
        if StoredFile.model_fields.keys() <= node.keys()
    ]


def results_in(record: bytes, kind: type[V]) -> list[V]:
    """Read every value of one kind that a result record holds; one that was damaged or of an older version holds none."""
    try:
        nodes = _nodes(json.loads(record))
    except ValueError:
        return []
    wanted = {name for name, field in kind.model_fields.items() if field.is_required()}
    found = []
    for node in nodes:
        if wanted <= node.keys():
            # What an older version wrote may lack a field further inside.
            with suppress(ValidationError):
                found.append(kind.model_validate(node))
    return found


def _nodes(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, str) and value.startswith(("{", "[")):
        # Prefect's JSON serializer keeps the result as a string inside the record.
        try:
            return _nodes(json.loads(value))
        except ValueError:
            return []
    if isinstance(value, dict):
        return [value, *(node for item in value.values() for node in _nodes(item))]
    if isinstance(value, list):
        return [node for item in value for node in _nodes(item)]
    return []
