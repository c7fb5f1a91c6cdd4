"""The picture of a request: the body itself, or the first file of a form."""

from collections.abc import AsyncGenerator
from typing import Final

from fastapi import Request
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.bodies import read_body
from service.errors import MalformedRequest

MAX_PICTURE_BYTES: Final = 10_000_000
#: Around the file of a form: its headers and boundaries.
_FORM_BYTES: Final = 10_000
_REFUSAL: Final = f"A picture of more than {MAX_PICTURE_BYTES // 1_000_000} MB is not read: scale it down."


async def sent_picture(request: Request) -> bytes:
    """Read the picture, not decoded yet.

    Raises:
        TooLarge: permanent. MalformedRequest: there is none (permanent).
    """
    content = await read_body(request, MAX_PICTURE_BYTES + _FORM_BYTES, _REFUSAL)
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        content = await _file_in(request.headers, content)
    if not content:
        raise MalformedRequest("Send a picture: JPEG, PNG or WebP, as the body or as a form's file.")
    return content


async def _file_in(headers: Headers, body: bytes) -> bytes:
    """Give the first file of a form whose body has been read already."""

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await MultiPartParser(headers, stream(), max_files=4, max_fields=16).parse()
    except (MultiPartException, KeyError) as error:
        raise MalformedRequest("The form cannot be read: send it as multipart/form-data.") from error
    try:
        for value in form.values():
            if isinstance(value, UploadFile):
                return await value.read()
    finally:
        await form.close()
    return b""
