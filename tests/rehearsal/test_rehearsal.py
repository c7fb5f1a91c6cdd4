"""What docker-compose.yml describes comes up, turns a video into scenes, and survives the loss of any part."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.rehearsal.compose import mutated
from tests.rehearsal.errors import RehearsalFailed

if TYPE_CHECKING:
    from tests.rehearsal.conftest import Rehearsal

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

#: How settings refuse a variable that is none, by its name.
NOT_A_SETTING = r"service.* never started.*bootstrap.*storage\.secret\s+Extra inputs are not permitted"
PARTS = ("postgres", "store", "redis", "prefect", "prefect-services", "service", "worker")


def test_an_upload_becomes_scenes(ingest: Callable[[str], dict[str, Any]]):
    video = ingest("first.mp4")
    assert video["status"] == "indexed", video["error"]


@pytest.mark.parametrize("part", PARTS)
def test_an_upload_becomes_scenes_after_a_part_was_killed(
    rehearsal: "Rehearsal", ingest: Callable[[str], dict[str, Any]], part: str
):
    before = rehearsal.engine.running[part].starts
    rehearsal.engine.kill(part)
    rehearsal.engine.wait_started(part, before + 1, 60)
    rehearsal.engine.wait_healthy(part, 120, starts=before + 1)
    video = ingest(f"after {part}.mp4")
    assert video["status"] == "indexed", video["error"]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            '["python", "-m", "service"]',
            '["python", "-m", "services"]',
            "service is not healthy.*No module named services",
        ),
        ("DAILIES_STORAGE__SECRET_KEY: $", "DAILIES_STORAGE__SECRET: $", NOT_A_SETTING),
        ("127.0.0.1:8080/readyz", "127.0.0.1:8080/ready", "service is not healthy.*8080/ready: HTTP Error 404"),
        ('"services", "start"]', '"services", "begin"]', 'prefect-services ended by itself.*Unknown command "begin"'),
        ("/app/deployments/logging.yml", "/app/deployments/logs.yml", "/app/deployments/logs.yml is not in the image"),
    ],
    ids=["command", "environment", "health check", "background work", "file of the image"],
)
def test_a_file_broken_on_purpose_is_noticed(tmp_path: Path, old: str, new: str, complaint: str):
    from tests.rehearsal.conftest import FILE, rehearsed

    broken = mutated(FILE, tmp_path / "docker-compose.yml", old, new)
    with pytest.raises(RehearsalFailed, match=f"(?s){complaint}"), rehearsed(broken, deadline_s=120):
        pass
