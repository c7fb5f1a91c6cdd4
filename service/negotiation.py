"""Page or document: which of the two a caller wants; pure."""

from typing import Final

_PAGE: Final = "text/html"
_DOCUMENT: Final = "application/json"


def prefers_page(accept: str) -> bool:
    """Say whether an Accept header puts a page before a JSON document, as browsers' do.

    Who accepts anything, or says nothing, is a script: the document stays what it always got (RFC 9110, section 12.5.1).
    """
    weights = _weights(accept)
    return weights.get(_PAGE, 0.0) > weights.get(_DOCUMENT, 0.0)


def _weights(accept: str) -> dict[str, float]:
    weights = {}
    for offer in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in offer.split(";"))
        weights[kind] = next((_weight(each[2:]) for each in parameters if each.startswith("q=")), 1.0)
    return weights


def _weight(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
