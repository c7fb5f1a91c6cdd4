"""What callers send: bodies read up to a limit, and text that the database can hold."""

from fastapi import Request
from pydantic import AfterValidator

from service.errors import TooLarge


async def read_body(request: Request, most_bytes: int, refusal: str) -> bytes:
    """Read a request's body; one that is too long is not read to its end.

    Raises:
        TooLarge: with the sentence `refusal` (permanent).
    """
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > most_bytes:
            raise TooLarge(refusal)
    return bytes(body)


def _storable(text: str) -> str:
    """Refuse what the database cannot hold: NUL and halves of surrogate pairs."""
    if "\x00" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError("holds characters that are no text")
    return text


#: Add it after the length constraints of a text.
Storable = AfterValidator(_storable)
