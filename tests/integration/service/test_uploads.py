"""Announced uploads: init, a presigned PUT by any HTTP client, complete."""

import datetime as dt

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from core.settings import Settings
from models import SourceObject, Video
from models.session import transaction

INIT, COMPLETE = "/videos/upload/init", "/videos/upload/complete"


def count(settings: Settings, table: type) -> int:
    with transaction(settings.database) as session:
        return session.scalars(select(func.count()).select_from(table)).one()


def test_init_put_and_complete_make_one_video_however_often_it_is_said(client: TestClient, settings: Settings) -> None:
    announced = client.post(
        INIT, json={"file_name": "Ferien am Meer.mp4", "description": "two weeks", "size_bytes": 11}
    )
    assert announced.status_code == 201
    ticket = announced.json()
    assert ticket["method"] == "PUT"
    assert dt.datetime.fromisoformat(ticket["expires_at"]) > dt.datetime.now(dt.UTC)
    assert ticket["key"] == f"videos/{ticket['video_id']}/Ferien_am_Meer.mp4"
    document = client.get(f"/videos/{ticket['video_id']}").json()
    assert (document["status"], document["title"]) == ("uploading", "Ferien am Meer")

    httpx.put(ticket["upload_url"], content=b"hello video").raise_for_status()
    for _ in range(2):
        done = client.post(COMPLETE, json={"video_id": ticket["video_id"]})
        assert done.status_code == 200
        assert done.json() == {"video_id": ticket["video_id"], "status": "validating"}
    assert (count(settings, Video), count(settings, SourceObject)) == (1, 1)


def test_completing_before_the_put_says_what_to_do(client: TestClient, settings: Settings) -> None:
    ticket = client.post(INIT, json={"file_name": "a.mp4"}).json()
    answer = client.post(COMPLETE, json={"video_id": ticket["video_id"]})
    assert (answer.status_code, answer.json()["error"]) == (409, "not_uploaded")
    assert "PUT" in answer.json()["message"]
    assert count(settings, SourceObject) == 0


def test_a_file_over_the_limit_is_refused_before_it_is_sent(client: TestClient, settings: Settings) -> None:
    answer = client.post(INIT, json={"file_name": "a.mp4", "size_bytes": settings.limits.max_bytes + 1})
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
    assert "20.0GiB" in answer.json()["message"]
    assert count(settings, Video) == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"file_name": ""},
        {"file_name": "   "},
        {"file_name": "a\x00.mp4"},
        {"file_name": "a.mp4", "size_bytes": -1},
        {"file_name": "a.mp4", "title": "x" * 1001},
    ],
)
def test_a_malformed_announcement_is_answered_with_a_sentence(
    client: TestClient, settings: Settings, body: dict
) -> None:
    answer = client.post(INIT, json=body)
    assert (answer.status_code, answer.json()["error"]) == (422, "malformed_request")
    assert count(settings, Video) == 0


def test_half_a_surrogate_pair_is_malformed_and_not_our_error(client: TestClient) -> None:
    answer = client.post(INIT, content=b'{"file_name": "a\\ud800.mp4"}', headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_completing_what_was_never_announced_is_not_found(client: TestClient) -> None:
    answer = client.post(COMPLETE, json={"video_id": "00000000-0000-0000-0000-000000000000"})
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_a_file_name_cannot_leave_its_folder(client: TestClient) -> None:
    ticket = client.post(INIT, json={"file_name": "../../etc/passwd"}).json()
    assert ticket["key"] == f"videos/{ticket['video_id']}/passwd"
