"""Range and If-None-Match, as RFC 9110 reads them."""

import pytest

from service.errors import UnsatisfiableRange
from service.ranges import Span, matches, span_for

WHOLE = None


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, WHOLE),
        ("", WHOLE),
        ("bytes=0-", Span(0, 1000)),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=100-199", Span(100, 100)),
        ("bytes=900-5000", Span(900, 100)),
        ("bytes=-100", Span(900, 100)),
        ("bytes=-5000", Span(0, 1000)),
        ("BYTES = 5 - 9", Span(5, 5)),
        ("bytes=9-5", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=a-b", WHOLE),
        ("bytes=0-1,5-6", WHOLE),
        ("seconds=0-1", WHOLE),
        ("bytes=0-" + "9" * 5000, WHOLE),
    ],
)
def test_a_range_of_a_thousand_bytes(header: str | None, span: Span | None) -> None:
    assert span_for(header, 1000) == span


@pytest.mark.parametrize(("header", "size"), [("bytes=1000-", 1000), ("bytes=-0", 1000), ("bytes=0-", 0)])
def test_a_range_outside_the_file_is_refused_with_its_size(header: str, size: int) -> None:
    with pytest.raises(UnsatisfiableRange) as refused:
        span_for(header, size)
    assert refused.value.headers == {"Content-Range": f"bytes */{size}"}


@pytest.mark.parametrize(
    ("header", "same"),
    [(None, False), ('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"b"', False), ("a", False)],
)
def test_an_etag_is_recognised_in_if_none_match(header: str | None, same: bool) -> None:
    assert matches(header, '"a"') is same
