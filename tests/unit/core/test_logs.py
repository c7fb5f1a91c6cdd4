"""Log lines: JSON with the ids they are about, and no secret in any of them."""

import io
import json
import logging
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from core.logs import HIDDEN, JsonFormatter, Redacting, bound, secrets_of, text_formatter
from core.settings import MediaSettings, Settings
from media.launcher import run_ffprobe
from media.tools import find_tools

PASSWORD, KEY, TOKEN, HOOK = (
    "p4ss%2Fword-db",
    "store-key-0123456789",
    "token-0123456789",
    "https://chat.example/hooks/T0/abc",
)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in {
        "DATABASE__URL": f"postgresql+psycopg://dailies:{PASSWORD}@db.example/dailies",
        "STORAGE__SECRET_KEY": KEY,
        "EVENTS__TOKEN": TOKEN,
        "WORKFLOW__NOTIFY": HOOK,
    }.items():
        monkeypatch.setenv(f"DAILIES_{name}", value)
    return Settings()


Logged = Callable[[Callable[[logging.Logger], None]], str]


@pytest.fixture(params=[JsonFormatter, text_formatter])
def logged(request: pytest.FixtureRequest, settings: Settings) -> Logged:
    """Give what a handler writes of what a function logs."""

    def write(say: Callable[[logging.Logger], None]) -> str:
        handler = logging.StreamHandler(stream := io.StringIO())
        handler.setFormatter(request.param())
        handler.addFilter(Redacting(secrets_of(settings)))
        logger = logging.getLogger(f"test.{uuid4()}")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        say(logger)
        return stream.getvalue()

    return write


def raise_with(secret: str) -> Callable[[logging.Logger], None]:
    def say(logger: logging.Logger) -> None:
        try:
            int(f"no connection to {secret}")
        except ValueError:
            logger.exception("it went wrong")

    return say


@pytest.mark.parametrize("secret", [PASSWORD, "p4ss/word-db", KEY, TOKEN, HOOK])
def test_no_secret_of_the_settings_is_in_a_message_its_arguments_or_a_traceback(logged: Logged, secret: str):
    for say in (
        lambda logger: logger.info(f"it is {secret}"),  # noqa: G004 - that is how it comes about
        lambda logger: logger.info("it is %s, %r", secret, [secret]),
        raise_with(secret),
    ):
        line = logged(say)
        assert secret not in line
        assert HIDDEN in line


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("GET /uploads/a.mp4?X-Amz-Credential=AK1&X-Amz-Signature=0123abcd&x=1", "0123abcd"),
        ("{'Authorization': 'Bearer abc.def-123456'}", "abc.def-123456"),
        ("connect to redis://:hush-hush@redis:6379/1 failed", "hush-hush"),
        ("connect to postgresql+asyncpg://me:other@h/prefect failed", "other"),
    ],
)
def test_what_opens_a_door_is_hidden_whoever_made_it(logged: Logged, text: str, secret: str):
    line = logged(lambda logger: logger.warning(text))
    assert secret not in line
    assert HIDDEN in line


def test_a_line_without_secrets_is_left_as_it_is(logged: Logged):
    assert "12 of 40 videos at http://127.0.0.1:8080/videos" in logged(
        lambda logger: logger.info("%d of %d videos at %s", 12, 40, "http://127.0.0.1:8080/videos")
    )


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Give the JSON lines that our packages have logged."""
    handler = logging.StreamHandler(stream := io.StringIO())
    handler.setFormatter(JsonFormatter({"run_id": "the-process"}))
    logger = logging.getLogger("media")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_the_end_of_a_media_process_is_told_with_the_run_and_the_video(lines, tmp_path: Path):
    tools = find_tools(MediaSettings())
    video_id, run_id = uuid4(), uuid4()
    clip = tmp_path / "a.wav"
    made = [str(tools.ffmpeg), "-v", "error", "-f", "lavfi", "-i", "sine=duration=0.1", str(clip)]
    subprocess.run(made, check=True, timeout=60)
    with bound(video_id=video_id, run_id=run_id, stage="validate"):
        run_ffprobe(tools, ["-v", "error", "-show_format", f"file:{clip}"])
    line = lines()[-1]
    assert (line["video_id"], line["run_id"], line["stage"]) == (str(video_id), str(run_id), "validate")
    assert (line["program"], line["status"], line["logger"]) == (tools.ffprobe.name, 0, "media.process")
    assert line["seconds"] > 0
    assert line["time"].endswith("+00:00")


def test_what_was_bound_outside_is_told_inside_and_forgotten_afterwards(lines):
    log = logging.getLogger("media")
    with bound(video_id="v", run_id=None):
        with bound(stage="shots"):
            log.info("inner")
        log.info("outer")
    log.info("after", extra={"flow_run_id": "from-prefect"})
    inner, outer, after = lines()
    assert (inner["video_id"], inner["stage"], inner["run_id"]) == ("v", "shots", "the-process")
    assert ("stage" in outer, outer["video_id"]) == (False, "v")
    assert ("video_id" in after, after["run_id"]) == (False, "from-prefect")
