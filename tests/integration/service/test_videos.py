"""What people read about videos: the list, one in full, its files, its scenes."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient

from core.settings import Settings
from models import attempts, inbox
from models.session import transaction
from storage.client import ObjectStore


def announced(settings: Settings, title: str = "a", owner_id: str = "local") -> UUID:
    with transaction(settings.database) as session:
        return inbox.announce(session, owner_id=owner_id, file_name=f"{title}.mp4").id


def test_an_indexed_video_is_shown_with_every_key_that_scripts_use(
    client: TestClient, indexed_video: Callable[..., UUID]
) -> None:
    video_id = indexed_video()
    shown = client.get(f"/videos/{video_id}").json()
    assert shown["video_id"] == str(video_id)
    assert shown["status"] == "indexed"
    assert (shown["reason"], shown["error"], shown["failure"]) == (None, None, None)
    assert shown["duration_s"] == 4.5
    assert UUID(shown["flow_run_id"])
    assert shown["run_url"].endswith(shown["flow_run_id"])
    assert shown["renditions"] == [{"name": "360p", "width": 640, "height": 360, "bytes": 1000}]
    assert shown["shots"] == [
        {"start_s": 0.0, "end_s": 1.5, "kind": "start", "confidence": 1.0},
        {"start_s": 1.5, "end_s": 4.5, "kind": "cut", "confidence": 0.75},
    ]
    assert [(scene["start_s"], scene["end_s"]) for scene in shown["scenes"]] == [(0.0, 1.5), (1.5, 4.5)]
    assert all(UUID(scene["scene_id"]) for scene in shown["scenes"])
    [stage] = shown["stages"]
    assert stage.pop("seconds") >= 0
    assert stage == {
        "stage": "transcode",
        "state": "done",
        "attempts": 1,
        "parts": 1,
        "parts_done": 1,
        "progress": None,
        "reused": False,
    }
    assert shown["degraded"] == ["no poster for scene 1"]
    assert shown["first_task_at"]


def test_a_rejected_video_tells_its_reason_and_a_sentence(
    client: TestClient, settings: Settings, store: ObjectStore, put: Callable[..., None]
) -> None:
    put("note.mp4")
    with transaction(settings.database) as session:
        source = store.source_version("uploads", "note.mp4")
        row = inbox.record_source(session, source, owner_id="local")
        ticket = attempts.begin(session, row.video_id, None)
        attempts.reject(session, ticket, "not_media", "The file is not a video.")
    shown = client.get(f"/videos/{ticket.video_id}/status").json()
    assert (shown["status"], shown["reason"], shown["error"]) == ("rejected", "not_media", "The file is not a video.")
    assert shown["first_task_at"] is None


def test_a_failed_video_tells_where_and_how(
    client: TestClient, settings: Settings, store: ObjectStore, put: Callable[..., None]
) -> None:
    put("film.mp4")
    with transaction(settings.database) as session:
        row = inbox.record_source(session, store.source_version("uploads", "film.mp4"), owner_id="local")
        ticket = attempts.begin(session, row.video_id, None)
        attempts.fail(
            session, ticket.video_id, stage="embed", error_class="AcceleratorBusy", message="full", attempt=None
        )
    shown = client.get(f"/videos/{ticket.video_id}").json()
    assert (shown["status"], shown["error"]) == ("failed", "full")
    assert shown["failure"]["stage"] == "embed"
    assert shown["failure"]["error_class"] == "AcceleratorBusy"


def test_the_list_goes_on_page_by_page_newest_first(client: TestClient, settings: Settings) -> None:
    made = [str(announced(settings, f"film {n}")) for n in range(5)]
    announced(settings, "somebody else's", owner_id="other")
    seen, cursor = [], None
    for _ in range(3):
        page = client.get("/videos", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [video["video_id"] for video in page["videos"]]
        cursor = page["next"]
    assert seen == made[::-1]
    assert cursor is None


def test_the_list_can_be_narrowed_to_a_status(
    client: TestClient, settings: Settings, indexed_video: Callable[..., UUID]
) -> None:
    video_id = indexed_video()
    announced(settings)
    page = client.get("/videos", params={"status": "indexed"}).json()
    assert [video["video_id"] for video in page["videos"]] == [str(video_id)]


def test_the_list_finds_an_upload_by_the_first_digits_of_its_id_and_by_its_key(
    client: TestClient, settings: Settings, indexed_video: Callable[..., UUID]
) -> None:
    video_id = str(indexed_video(key="folder/my film.mp4"))
    announced(settings)
    for query in ({"id": video_id[:7]}, {"id": video_id[:11].upper()}, {"id": video_id}, {"key": "folder/my film.mp4"}):
        page = client.get("/videos", params=query).json()
        assert [video["video_id"] for video in page["videos"]] == [video_id]
    assert client.get("/videos", params={"key": "another.mp4"}).json()["videos"] == []


@pytest.mark.parametrize(
    "query",
    [
        "id=xyz",
        "id=-",
        "key=%00",
        "status=lost",
        "limit=0",
        "limit=x",
        "cursor=x",
        "cursor=bm90IGEgY3Vyc29y",
        "cursor=%FF",
    ],
)
def test_a_malformed_question_is_answered_with_a_sentence(client: TestClient, query: str) -> None:
    answer = client.get(f"/videos?{query}")
    assert (answer.status_code, answer.json()["error"]) == (422, "malformed_request")
    assert answer.json()["message"].startswith(query.partition("=")[0])


def test_videos_that_are_not_there_or_not_ours_are_not_found(client: TestClient, settings: Settings) -> None:
    theirs = announced(settings, owner_id="other")
    for video_id in (uuid4(), theirs):
        for path in ("", "/status", "/files/360p.mp4"):
            answer = client.get(f"/videos/{video_id}{path}")
            assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert client.get("/videos/nonsense").status_code == 422
    assert client.get("/nowhere").json() == {"error": "not_found", "message": "Not Found."}


def test_every_address_in_the_document_can_be_read(
    client: TestClient, settings: Settings, indexed_video: Callable[..., UUID]
) -> None:
    urls = client.get(f"/videos/{indexed_video()}").json()["urls"]
    bodies = {
        urls["renditions"]["360p"]: ("video/mp4", bytes(range(250)) * 4),
        urls["proxy"]: ("video/mp4", b"proxy"),
        urls["video"]: ("video/mp4", b"film"),
        urls["hls"]: ("application/vnd.apple.mpegurl", b"#EXTM3U master"),
        urls["hls"].replace("master", "360p"): ("application/vnd.apple.mpegurl", b"#EXTM3U 360p"),
        urls["storyboard"]: ("text/vtt; charset=utf-8", b"WEBVTT"),
        urls["storyboard"].replace(".vtt", ".jpg"): ("image/jpeg", b"tiles"),
        urls["contact_sheet"]: ("image/jpeg", b"sheet"),
        urls["posters"][0]: ("image/jpeg", b"poster"),
    }
    assert urls["posters"][1] is None
    for url, (kind, body) in bodies.items():
        answer = client.get(url.removeprefix(settings.service.url))
        assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, kind, body)


def test_a_part_of_a_file_can_be_read(client: TestClient, indexed_video: Callable[..., UUID]) -> None:
    path = f"/videos/{indexed_video()}/files/360p.mp4"
    whole = client.get(path)
    etag = whole.headers["etag"]
    part = client.get(path, headers={"Range": "bytes=10-19"})
    assert part.status_code == 206
    assert part.headers["content-range"] == "bytes 10-19/1000"
    assert part.content == bytes(range(10, 20))
    assert client.get(path, headers={"Range": "bytes=-5"}).content == bytes(range(245, 250))
    outside = client.get(path, headers={"Range": "bytes=1000-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, "bytes */1000")
    same = client.get(path, headers={"If-None-Match": etag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert client.get(path, headers={"Range": "bytes=0-1", "If-Range": etag}).status_code == 206
    assert client.get(path, headers={"Range": "bytes=0-1", "If-Range": '"another"'}).content == whole.content
    head = client.head(path)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "1000", b"")


@pytest.mark.parametrize(
    "path",
    [
        "1080p.mp4",
        "1080p.m3u8",
        "audio.mp4",
        "scenes/1/poster.jpg",
        "scenes/9/poster.jpg",
        "scenes/x/poster.jpg",
        "../secret",
        "result.json",
        "360p.mp4%00",
        "",
    ],
)
def test_files_that_are_not_there_are_not_found(
    client: TestClient, indexed_video: Callable[..., UUID], path: str
) -> None:
    answer = client.get(f"/videos/{indexed_video()}/files/{path}")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


def test_a_file_whose_object_was_deleted_is_said_to_be_missing(
    client: TestClient, store: ObjectStore, indexed_video: Callable[..., UUID]
) -> None:
    video_id = indexed_video()
    store.delete_prefix(store.settings.derived_bucket, f"{video_id}/")
    answer = client.get(f"/videos/{video_id}/files/360p.mp4")
    assert (answer.status_code, answer.json()["error"]) == (404, "object_missing")
