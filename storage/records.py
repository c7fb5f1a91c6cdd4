"""Result records: which stored files one names."""

import json
from typing import Any, TypeVar

from core.values import StoredFile, Value

V = TypeVar("V", bound=Value)


def named_files(record: bytes) -> list[StoredFile]:
    """Read every stored file named anywhere in a result record."""
    return [
        StoredFile.model_validate(node)
        for node in _nodes(json.loads(record))
        if StoredFile.model_fields.keys() <= node.keys()
    ]


def results_in(record: bytes, kind: type[V]) -> list[V]:
    """Read every value of one kind that a result record holds; a record of an older version holds none."""
    wanted = {name for name, field in kind.model_fields.items() if field.is_required()}
    return [kind.model_validate(node) for node in _nodes(json.loads(record)) if wanted <= node.keys()]


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
