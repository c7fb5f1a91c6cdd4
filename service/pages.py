"""The pages: HTML from templates that escape everything, under a policy that lets nothing in from elsewhere."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from core.version import VERSION
from service.negotiation import prefers_page

_HERE: Final = Path(__file__).parent
#: Everything comes from this service; `blob:` is how hls.js feeds the player.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
    # The same address gives a document to scripts.
    "Vary": "Accept",
}


def wants_page(request: Request) -> bool:
    """Say whether this caller reads pages."""
    return prefers_page(request.headers.get("accept", ""))


def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Render a template."""
    return HTMLResponse(_templates().get_template(name).render(values), status, headers=HEADERS)


def timecode(seconds: float) -> str:
    """Write a moment as players do: 0:07, 12:03, 1:02:03."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["timecode"] = timecode
    templates.globals["static"] = _static
    templates.globals["version"] = VERSION
    return templates


@cache
def _static(name: str) -> str:
    """Give the address of a file that pages load; it changes with the content, so browsers never mix versions."""
    content = (_HERE / "static" / name).read_bytes()
    return f"/static/{name}?{hashlib.sha256(content).hexdigest()[:8]}"
