"""Reruns over HTTP: what may be asked, and for whose videos."""

from collections.abc import Callable
from uuid import UUID

import pytest
from fastapi.testclient import TestClient


def test_somebody_elses_video_sounds_like_none(client: TestClient, indexed_video: Callable[..., UUID]) -> None:
    answer = client.post(f"/videos/{indexed_video(owner_id='else')}/rerun")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize(
    "body",
    [
        {"status": "indexed"},
        {"status": "processing"},
        {"per_minute": 0},
        {"per_minute": 601},
        {"fingerprint": "\0"},
        {"fingerprint": "f" * 65},
    ],
)
def test_only_failed_and_rejected_videos_are_rerun_as_a_group(client: TestClient, body: dict[str, object]) -> None:
    answer = client.post("/redrive", json={"dry_run": True, **body})
    assert (answer.status_code, answer.json()["error"]) == (422, "malformed_request")


@pytest.mark.parametrize("status", ["failed", "rejected"])
def test_a_dry_run_of_nothing_names_nothing(client: TestClient, status: str) -> None:
    answer = client.post("/redrive", json={"status": status, "dry_run": True})
    assert answer.status_code == 202
    assert answer.json() == {"dry_run": True, "count": 0, "video_ids": [], "spread_s": 0.0, "waiting": 0}
