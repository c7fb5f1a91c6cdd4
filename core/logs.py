"""Lines of every log: which run and which video they are about, as text or as JSON, and never with a secret in them."""

import datetime as dt
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr

from core.settings import Settings
from core.version import VERSION

#: Stands where a secret stood.
HIDDEN: Final = "[hidden]"
#: Shorter ones would hide half of every line.
_SHORTEST: Final = 6
#: What opens a door, whoever made it: passwords in URLs, tokens, signatures of presigned URLs.
_PATTERNS: Final = (
    re.compile(r"(?<=://)([^\s:/@]*:)[^\s@/]+(?=@)"),
    re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]{6,}"),
    re.compile(r"(?i)((?:X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|Signature)=)[^\s&\"']+"),
)
#: What a line may be about besides its text: what the code binds, and what Prefect's loggers add.
_ABOUT: Final = {"flow_run_id": "run_id", "flow_run_name": "run", "task_run_name": "task", "program": "program"}
_NUMBERS: Final = ("seconds", "status")

_bound: Final[ContextVar[Mapping[str, str] | None]] = ContextVar("what log lines are about", default=None)


@contextmanager
def bound(**ids: object) -> Iterator[None]:
    """Let every line that is logged inside tell these ids: `video_id`, `run_id`, `stage`; None tells nothing."""
    token = _bound.set(
        {**(_bound.get() or {}), **{name: str(value) for name, value in ids.items() if value is not None}}
    )
    try:
        yield
    finally:
        _bound.reset(token)


def secrets_of(settings: Settings) -> set[str]:
    """Collect every secret of the settings; of a database URL, its password."""
    return {secret for secret in _secrets(settings) if len(secret) >= _SHORTEST}


def _secrets(group: BaseModel) -> Iterator[str]:
    for name in type(group).model_fields:
        value = getattr(group, name)
        if isinstance(value, BaseModel):
            yield from _secrets(value)
        elif isinstance(value, SecretStr):
            yield from _parts(value.get_secret_value())


def _parts(secret: str) -> Iterator[str]:
    if "://" not in secret:
        yield secret
        return
    url = urlsplit(secret)
    if url.password:
        yield from {url.password, unquote(url.password)}
    if url.scheme in {"http", "https"}:
        yield secret  # the address of a webhook is what lets one call it


def hidden(text: str, secrets: Iterable[str] = ()) -> str:
    """Give a text with every secret in it replaced."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


class Redacting(logging.Filter):
    """Takes secrets out of a record, its traceback included, before a handler sees it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        # The longest first: one may be part of another.
        self._secrets = sorted(secrets, key=len, reverse=True)

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record when it holds a secret; every record passes."""
        said = record.getMessage()
        if (clean := hidden(said, self._secrets)) != said:
            record.msg, record.args = clean, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = hidden(record.exc_text, self._secrets)
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line.

    Args:
        always: told in every line, unless the line knows better.
    """

    def __init__(self, always: Mapping[str, str | None] | None = None) -> None:
        super().__init__()
        self._always = {name: value for name, value in (always or {}).items() if value}

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line: dict[str, Any] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
            "version": VERSION,
            **self._always,
            **(_bound.get() or {}),
        }
        for name, told in _ABOUT.items():
            if (value := getattr(record, name, None)) is not None:
                line[told] = str(value)
        line |= {
            name: getattr(record, name) for name in _NUMBERS if isinstance(getattr(record, name, None), int | float)
        }
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["error"] = record.exc_text
        return json.dumps(line, ensure_ascii=False)


def text_formatter() -> logging.Formatter:
    """Give the formatter for people."""
    return logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


def configure(settings: Settings) -> None:
    """Let this process log to standard error, as the settings want it."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if settings.logs.format == "json" else text_formatter())
    handler.addFilter(Redacting(secrets_of(settings)))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # One line a request to Prefect says nothing that its own log does not.
    logging.getLogger("httpx").setLevel(logging.WARNING)
