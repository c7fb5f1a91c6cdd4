"""From an object put by any S3 client to scenes that are found, through the whole real stack."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from core.settings import MediaSettings
from media.tools import find_tools

if TYPE_CHECKING:
    from tests.conftest import Live

STAGES = ["validate", "transcode", "shots", "stills", "embed", "publish"]


def probe(path: Path) -> dict[str, Any]:
    tools = find_tools(MediaSettings())
    command = [str(tools.ffprobe), "-v", "error", "-of", "json", "-show_streams", "-show_format", str(path)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=30).stdout)


@pytest.fixture(scope="module")
def indexed(live: "Live", make_clip: Callable[..., Path]) -> dict[str, Any]:
    """A film of three colours, indexed."""
    return live.ingest(make_clip("three colours.mp4", seconds=2.0))


def test_an_object_put_by_a_plain_client_becomes_indexed(indexed: dict[str, Any]):
    assert indexed["status"] == "indexed", indexed["error"]
    assert indexed["title"] == "three colours"
    assert [stage["stage"] for stage in indexed["stages"]] == STAGES
    assert {stage["state"] for stage in indexed["stages"]} == {"done"}


def test_scenes_cover_the_whole_duration_without_gap_or_overlap(indexed: dict[str, Any]):
    scenes = indexed["scenes"]
    assert [round(scene["start_s"], 2) for scene in scenes] == [0.0, 2.0, 4.0]
    assert [scene["end_s"] for scene in scenes[:-1]] == [scene["start_s"] for scene in scenes[1:]]
    assert scenes[-1]["end_s"] == indexed["duration_s"] == pytest.approx(6.0, abs=0.05)


def test_rungs_hold_pictures_and_the_film_sound_as_well(live: "Live", indexed: dict[str, Any], tmp_path: Path):
    urls = {**indexed["urls"]["renditions"], "video": indexed["urls"]["video"]}
    for name, url in urls.items():
        target = tmp_path / f"{name}.mp4"
        target.write_bytes(httpx.get(url).raise_for_status().content)
        found = probe(target)
        assert {stream["codec_type"] for stream in found["streams"]} == {
            "video",
            *(["audio"] if name == "video" else []),
        }
        assert float(found["format"]["duration"]) == pytest.approx(indexed["duration_s"], abs=0.2)


def test_everything_that_the_playlists_name_is_there(indexed: dict[str, Any]):
    master = indexed["urls"]["hls"]
    waiting, seen = [master], set()
    while waiting:
        url = waiting.pop()
        if url in seen:
            continue
        seen.add(url)
        answer = httpx.get(url).raise_for_status()
        if url.endswith(".m3u8"):
            assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
            named = re.findall(r'URI="(.+?)"', answer.text) + re.findall(r"^[^#\n].*$", answer.text, re.MULTILINE)
            waiting += [master.replace("master.m3u8", name) for name in named]
    names = {url.rpartition("/")[2] for url in seen}
    assert names == {"master.m3u8", "180p.m3u8", "180p.mp4", "audio.m3u8", "audio.mp4"}


def test_the_storyboard_names_tiles_that_are_there(indexed: dict[str, Any]):
    url = indexed["urls"]["storyboard"]
    cues = httpx.get(url).raise_for_status().text
    sprite = re.search(r"^(.+)#xywh=0,0,160,90$", cues, re.MULTILINE)
    assert sprite is not None, cues
    answer = httpx.get(url.replace("storyboard.vtt", sprite[1])).raise_for_status()
    assert answer.headers["content-type"] == "image/jpeg"


def test_chunks_are_gone_once_the_video_is_published(live: "Live", indexed: dict[str, Any]):
    live.ended_run(indexed["flow_run_id"])
    bucket = live.settings.storage.derived_bucket
    found = [item.key for item in live.store.list(bucket, f"{indexed['video_id']}/")]
    assert {key.split("/")[1] for key in found} == {"validate", "sound", "transcode", "shots", "stills", "embed"}


def test_posters_and_contact_sheet_are_pictures(indexed: dict[str, Any]):
    for url in (indexed["urls"]["contact_sheet"], *indexed["urls"]["posters"]):
        answer = httpx.get(url).raise_for_status()
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.content.startswith(b"\xff\xd8")


def test_search_finds_its_scenes(live: "Live", indexed: dict[str, Any]):
    query = {"q": "a plain colour", "limit": 50, "video": indexed["video_id"], "collapse": False}
    hits = live.service.get("/search", params=query).raise_for_status().json()
    mine = {scene["scene_id"] for scene in indexed["scenes"]}
    assert mine == {hit["scene_id"] for hit in hits}
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)


def test_the_run_shows_a_name_and_an_artifact_that_a_person_can_read(live: "Live", indexed: dict[str, Any]):
    assert live.ended_run(indexed["flow_run_id"])["name"].startswith("three colours (")
    body = {"artifacts": {"flow_run_id": {"any_": [indexed["flow_run_id"]]}}}
    artifacts = live.prefect.post("/artifacts/filter", json=body).json()
    text = next(artifact["data"] for artifact in artifacts if (artifact["key"] or "").startswith("video-"))
    assert "three colours.mp4" in text
    assert "contact-sheet.jpg" in text


def test_five_deliveries_of_one_event_make_one_run(live: "Live", indexed: dict[str, Any]):
    event = {
        "Records": [
            {
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": "uploads"}, "object": {"key": "three+colours.mp4"}},
            }
        ]
    }
    token = live.settings.events.token.get_secret_value()
    for _ in range(5):
        answer = live.service.post("/events/object-created", json=event, headers={"Authorization": f"Bearer {token}"})
        assert answer.json()["recorded"] == 1
    assert len(live.videos("three colours.mp4")) == 1
    assert live.run(indexed["flow_run_id"])["run_count"] == 1


def test_a_wrong_token_is_refused_and_leaves_nothing(live: "Live"):
    event = {
        "Records": [
            {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "uploads"}, "object": {"key": "nobody.mp4"}}}
        ]
    }
    answer = live.service.post("/events/object-created", json=event, headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert live.videos("nobody.mp4") == []


def test_the_same_key_overwritten_is_a_second_video(live: "Live", make_clip: Callable[..., Path]):
    first = live.ingest(make_clip("again.mp4", ("red",)))
    other = make_clip("other.mp4", ("blue", "white"))
    live.put(other, "again.mp4")

    second = live.wait_for(lambda: live.videos("again.mp4")[1:], "a second video", 30)[0]
    assert live.wait_for_status(second["video_id"], "indexed", "failed")["status"] == "indexed"
    assert second["video_id"] != first["video_id"]
    assert live.video(first["video_id"])["status"] == "indexed"


def test_a_text_named_mp4_is_rejected_with_a_sentence_and_nothing_is_retried(live: "Live", tmp_path: Path):
    (tmp_path / "letter.mp4").write_text("Dear editor, this is no film.\n" * 10)
    video = live.ingest(tmp_path / "letter.mp4")
    assert (video["status"], video["reason"]) == ("rejected", "not_media")
    assert video["error"]
    run = live.ended_run(video["flow_run_id"])
    assert (run["state"]["type"], run["state"]["name"], run["run_count"]) == ("COMPLETED", "Rejected", 1)
    assert [(stage["stage"], stage["attempts"]) for stage in video["stages"]] == [("validate", 1)]


def test_an_announced_upload_walks_through_its_states(live: "Live", make_clip: Callable[..., Path]):
    clip = make_clip("announced.mp4", ("red", "blue"))
    made = live.service.post("/videos/upload/init", json={"file_name": "announced.mp4", "title": "Announced"}).json()
    assert live.video(made["video_id"])["status"] == "uploading"
    httpx.put(made["upload_url"], content=clip.read_bytes()).raise_for_status()
    for _ in range(2):
        live.service.post("/videos/upload/complete", json={"video_id": made["video_id"]}).raise_for_status()
    video = live.wait_for_status(made["video_id"], "indexed", "failed", "rejected")
    assert (video["status"], video["title"]) == ("indexed", "Announced")
    assert len(live.videos("announced.mp4")) == 1
