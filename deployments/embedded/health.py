"""Questions asked of a part over HTTP to learn whether it does its work."""

import json
from typing import Any, Final

import urllib3

#: Seconds one question may take; the supervisor waits for the answer.
_TIMEOUT: Final = urllib3.Timeout(1.0)


def is_ok(url: str) -> bool:
    """Say whether a GET is answered with 200."""
    try:
        return urllib3.request("GET", url, timeout=_TIMEOUT, retries=False).status == 200  # noqa: PLR2004
    except urllib3.exceptions.HTTPError:
        return False


def post(url: str, question: dict[str, Any]) -> Any:
    """POST JSON and give the JSON that comes back; None when the answer is anything but a 200."""
    try:
        answer = urllib3.request("POST", url, json=question, timeout=_TIMEOUT, retries=False)
    except urllib3.exceptions.HTTPError:
        return None
    if answer.status != 200:  # noqa: PLR2004
        return None
    try:
        return answer.json()
    except json.JSONDecodeError:
        return None
