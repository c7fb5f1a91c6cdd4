"""Coverage and why over HTTP, for a video that was published."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient

from core.fingerprint import Recipes
from core.settings import Settings
from core.values import EncoderSpec
from models import recipes, spaces
from models.session import transaction


@pytest.fixture
def video_id(settings: Settings, indexed_video: Callable[..., UUID]) -> UUID:
    """An indexed video, done by today's recipes."""
    found = indexed_video()
    with transaction(settings.database) as session:
        recipes.record(session, found, recipes.columns(session, Recipes(settings)))
    return found


def test_coverage_has_a_row_for_every_stage_and_space(client: TestClient, video_id: UUID):
    rows = client.get("/coverage").json()
    assert [row["stage"] for row in rows] == ["validate", "transcode", "shots", "stills", "embed", "publish"]
    assert {row["produced"] for row in rows} == {1}
    assert next(row["space"] for row in rows if row["stage"] == "embed") is not None
    assert video_id is not None


def test_why_answers_for_a_searchable_video_and_refuses_an_unknown_one(client: TestClient, video_id: UUID):
    answer = client.get(f"/videos/{video_id}/why").json()
    assert answer["searchable"] is True
    assert client.get(f"/videos/{uuid4()}/why").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"stage": "publish"},
        {"stage": "embed", "per_minute": 0},
        {"stage": "embed", "unknown": 1},
        {"stage": "embed", "state": "rejected"},
    ],
    ids=["stage", "rate", "field", "state"],
)
def test_a_backfill_that_means_nothing_is_refused(client: TestClient, body: dict[str, object]):
    assert client.post("/backfill", json=body).status_code == 422


def test_a_dry_run_counts_and_starts_nothing(client: TestClient, video_id: UUID):
    answer = client.post("/backfill", json={"stage": "shots"}).json()
    assert (answer["videos"], answer["run_url"], answer["dry_run"]) == (0, None, True)
    assert video_id is not None


def test_a_space_nobody_knows_is_named_in_the_refusal(client: TestClient, video_id: UUID):
    answer = client.post("/backfill", json={"stage": "embed", "space": "none-such"})
    assert answer.status_code == 404
    assert "none-such" in answer.text
    assert video_id is not None


def test_dates_do_not_hide_the_videos_that_a_new_space_lacks(client: TestClient, settings: Settings, video_id: UUID):
    with transaction(settings.database) as session:
        spaces.register(session, EncoderSpec(name="newer", revision="1", dim=3, preprocess="none"))
    body = {"stage": "embed", "space": "newer", "since": "2020-01-01T00:00:00Z"}
    assert client.post("/backfill", json=body).json()["videos"] == 1
    assert video_id is not None


def test_the_videos_that_a_stage_lacks_are_listed_page_by_page(
    client: TestClient, settings: Settings, indexed_video: Callable[..., UUID]
):
    ids = {str(indexed_video()) for _ in range(3)}
    older = Recipes(settings.model_copy(update={"shots": settings.shots.model_copy(update={"min_scene_s": 9.0})}))
    with transaction(settings.database) as session:
        for video_id in ids:
            recipes.record(session, UUID(video_id), recipes.columns(session, older))
    first = client.get("/coverage/shots/videos", params={"limit": 2}).json()
    rest = client.get("/coverage/shots/videos", params={"limit": 2, "cursor": first["next"]}).json()
    assert {one["video_id"] for one in first["videos"] + rest["videos"]} == ids
    assert {(one["state"], one["status"]) for one in first["videos"]} == {("stale", "indexed")}
    assert rest["next"] is None
    assert client.get("/coverage/shots/videos", params={"state": "failed"}).json()["videos"] == []
    assert client.get("/coverage/embed/videos", params={"state": "stale"}).json()["videos"], "of the active space"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/coverage/nothing/videos", 422),
        ("/coverage/shots/videos?state=produced", 422),
        ("/coverage/shots/videos?space=1", 422),
        ("/coverage/shots/videos?cursor=x", 422),
        ("/coverage/embed/videos?space=none-such", 404),
    ],
)
def test_a_list_that_means_nothing_is_refused(client: TestClient, path: str, status: int):
    assert client.get(path).status_code == status


def test_a_space_that_lacks_every_video_lists_them(client: TestClient, settings: Settings, video_id: UUID):
    with transaction(settings.database) as session:
        spaces.register(session, EncoderSpec(name="newer", revision="1", dim=3, preprocess="none"))
    found = client.get("/coverage/embed/videos", params={"space": "newer"}).json()["videos"]
    assert [(one["video_id"], one["state"]) for one in found] == [(str(video_id), "missing")]
