"""Text from outside, made harmless for pages that render Markdown."""

import re
from typing import Final

#: Every sign that Markdown or HTML gives a meaning to.
_SIGNS: Final = re.compile(r"([\\`*_{}\[\]()#+!|<>~])")


def escaped(text: str) -> str:
    """Give text that shows as it is written: one line, no link, no picture, no tag."""
    return _SIGNS.sub(r"\\\1", " ".join(text.split()))
