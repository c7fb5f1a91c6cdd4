"""Result records: which stored files one names."""

import json
from typing import Any

from core.values import StoredFile


def named_files(record: bytes) -> list[StoredFile]:
    """Read every stored file named anywhere in a result record."""
    return [
        StoredFile.model_validate(node)
        for node in _nodes(json.loads(record))
        if StoredFile.model_fields.keys() <= node.keys()
    ]


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
