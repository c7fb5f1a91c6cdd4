"""Who gets a page and who gets the document."""

import pytest

from service.negotiation import prefers_page

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    "accept", [CHROMIUM, "text/html", "TEXT/HTML; charset=utf-8", "application/json;q=0.5, text/html"]
)
def test_browsers_get_the_page(accept: str):
    assert prefers_page(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "text/html, application/json",
        "text/html;q=0.5,application/json;q=0.9",
        "text/html;q=0",
        "text/html;q=x",
        "text/htmlx",
        ";;,,;q=",
    ],
)
def test_scripts_get_the_document(accept: str):
    assert not prefers_page(accept)
