"""Search through the public door, with the real bundled encoder for the text."""

from collections.abc import Callable
from uuid import UUID

from fastapi.testclient import TestClient

from core.settings import Settings
from encoders.catalog import spec_for


def test_before_anything_is_indexed_a_search_finds_nothing(client: TestClient) -> None:
    answer = client.get("/search", params={"q": "a cat"})
    assert (answer.status_code, answer.json()) == (200, [])


def test_a_search_without_words_is_malformed(client: TestClient) -> None:
    assert client.get("/search", params={"q": "  "}).status_code == 422
    assert client.get("/search").json()["error"] == "malformed_request"


def test_another_encoder_than_the_active_one_is_never_asked(
    client: TestClient, indexed_video: Callable[..., UUID]
) -> None:
    indexed_video()  # by the encoder `tiny`
    answer = client.get("/search", params={"q": "a cat"})
    assert (answer.status_code, answer.json()["error"]) == (409, "other_encoder")
    assert "tiny" in answer.json()["message"]


def test_the_nearest_scenes_come_first_and_only_the_owners(
    client: TestClient, settings: Settings, indexed_video: Callable[..., UUID]
) -> None:
    spec = spec_for(settings.encoder)
    video_id = indexed_video(spec=spec)
    indexed_video(key="theirs.mp4", owner_id="other", spec=spec)
    found = client.get("/search", params={"q": "a cat", "limit": 5}).json()
    assert {hit["video_id"] for hit in found} == {str(video_id)}
    assert len(found) == 2
    assert found[0]["score"] >= found[1]["score"]
    assert set(found[0]) == {"scene_id", "video_id", "start_s", "end_s", "score", "title"}
    assert found[0]["title"] == "film"
