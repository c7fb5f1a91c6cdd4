"""Commands that talk to the service: what they print, where, and how they exit."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.cli.conftest import VIDEO_ID, FakeService, Ran, document

Dailies = Callable[..., Ran]

PROMISED = {
    "video_id", "status", "reason", "error", "duration_s", "flow_run_id", "renditions", "shots", "scenes", "stages",
}  # fmt: skip


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"frames" * 1000)
    return path


def test_ingest_uploads_waits_and_prints_one_document(service: FakeService, dailies: Dailies, film: Path) -> None:
    ran = dailies("ingest", film, "--title", "Holiday", "--description", "two weeks", "--wait", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json.keys() >= PROMISED | {"first_task_after_s", "upload_s", "path"}
    assert ran.json["first_task_after_s"] > 0
    assert list(service.uploaded.values()) == [b"frames" * 1000]
    [announced] = service.announced
    assert announced == {
        "file_name": "film.mp4",
        "title": "Holiday",
        "description": "two weeks",
        "content_type": "video/mp4",
        "size_bytes": 6000,
    }


def test_ingest_for_people_shows_stages_scenes_and_the_time_to_the_first_task(
    service: FakeService, dailies: Dailies, film: Path
) -> None:
    ran = dailies("ingest", film, "--wait")
    assert ran.code == 0
    for words in ("film [1]", "validate", "360p", "1 scene", "upload finished -> first task running:"):
        assert words in ran.out
    assert "film.mp4" in ran.err  # the progress bar


def test_ingest_without_waiting_says_how_to_follow(service: FakeService, dailies: Dailies, film: Path) -> None:
    ran = dailies("ingest", film)
    assert ran.code == 0
    assert "dailies show 3f2a91c1" in ran.out


def test_several_files_give_a_list_and_one_bad_file_gives_exit_1(
    service: FakeService, dailies: Dailies, film: Path, tmp_path: Path
) -> None:
    note = tmp_path / "note.mp4"
    note.write_text("not a film")
    rejected = {"status": "rejected", "reason": "not_media", "error": "The file is not a video."}
    second = "3f2a91c2-0000-4000-8000-000000000001"
    service.answers = {f"/videos/{second}{end}": (200, document(second, **rejected)) for end in ("", "/status")}
    ran = dailies("ingest", film, note, "--wait", "--json")
    assert ran.code == 1
    assert [each["status"] for each in ran.json] == ["indexed", "rejected"]
    assert [Path(each["path"]).name for each in ran.json] == ["film.mp4", "note.mp4"]


def test_a_store_that_takes_nothing_is_told_for_each_file(service: FakeService, dailies: Dailies, film: Path) -> None:
    service.store_is_down = True
    ran = dailies("ingest", film)
    assert (ran.code, ran.out) == (1, "")
    assert "the object store answered 503" in ran.err
    ran = dailies("ingest", film, film, "--wait", "--json")
    assert ran.code == 1
    assert [each["status"] for each in ran.json] == ["failed", "failed"]
    assert ran.json[0].keys() >= PROMISED


def test_a_service_that_refuses_is_quoted(service: FakeService, dailies: Dailies, film: Path) -> None:
    service.answers = {f"/videos/{VIDEO_ID}": (409, {"error": "x", "message": "Not now, because."})}
    ran = dailies("show", VIDEO_ID)
    assert (ran.code, ran.out, ran.err) == (1, "", "dailies: Not now, because.\n")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["ingest", "missing.mp4"], "missing.mp4"),
        (["ingest", "."], "not a file"),
        (["ingest", "film.mp4", "film.mp4", "--title", "x"], "--title"),
        (["ingest"], "PATH"),
        (["videos", "--status", "lost"], "lost"),
        (["search", " "], "TEXT"),
        (["search", "x", "--limit", "0"], "limit"),
        (["search"], "give TEXT, or --image FILE, or --like SCENE."),
        (["search", "x", "--image", "film.mp4"], "give TEXT"),
        (["search", "--image", "missing.jpg"], "missing.jpg"),
        (["demo", "missing.mp4"], "missing.mp4"),
        (["rerun", VIDEO_ID, "--dry-run"], "--dry-run goes with a group."),
        (["rerun", "--failed", "--from", "shots"], "--from goes with one VIDEO."),
        (["rerun", "--status", "indexed"], "give failed or rejected"),
        (["dance"], "dance"),
    ],
)
def test_wrong_usage_exits_with_2_and_a_sentence(
    service: FakeService, dailies: Dailies, film: Path, arguments: list[str], word: str
) -> None:
    ran = dailies(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert word in ran.err
    assert service.asked == []


@pytest.mark.parametrize("command", [["videos"], ["show", VIDEO_ID], ["search", "a cat"]])
def test_without_a_stack_one_sentence_says_what_to_do(
    dailies: Dailies, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    ran = dailies(*command, "--json")
    assert (ran.code, ran.out) == (1, "")
    assert "dailies up" in ran.err
    assert ran.err.count("\n") == 1
    monkeypatch.setenv("DAILIES_SERVICE__URL", "http://127.0.0.1:9")
    ran = dailies(*command, "--json")
    assert (ran.code, ran.out) == (1, "")
    assert "No service answers at http://127.0.0.1:9" in ran.err


def test_show_takes_the_first_digits_of_an_id(service: FakeService, dailies: Dailies) -> None:
    assert dailies("show", "3f2a", "--json").json == document()
    ran = dailies("show", "ffff")
    assert (ran.code, ran.out) == (1, "")
    assert "no video whose id begins with ffff" in ran.err
    assert "no video's id" in dailies("show", "film").err


def test_show_prints_addresses_that_can_be_copied(service: FakeService, dailies: Dailies) -> None:
    ran = dailies("show", "3f2a")
    assert f"http://service/videos/{VIDEO_ID}/files/video.mp4\n" in ran.out


def test_show_says_what_to_do_about_a_failed_video(service: FakeService, dailies: Dailies) -> None:
    failure = {"stage": "embed", "error_class": "AcceleratorBusy", "fingerprint": "abc"}
    service.answers = {
        f"/videos/{VIDEO_ID}": (200, document(status="failed", error="No memory is left.", failure=failure))
    }
    ran = dailies("show", VIDEO_ID)
    assert "No memory is left." in ran.out
    assert "dailies rerun 3f2a91c0" in ran.out


def test_videos_are_listed_for_people_and_for_scripts(service: FakeService, dailies: Dailies) -> None:
    assert "3f2a91c0" in dailies("videos").out
    assert [video["video_id"] for video in dailies("videos", "--status", "indexed", "--json").json] == [VIDEO_ID]
    assert service.asked[-1] == ("GET", "/videos?status=indexed&limit=50")


def test_search_prints_hits_best_first(service: FakeService, dailies: Dailies) -> None:
    hit = {"scene_id": "5a17", "video_id": VIDEO_ID, "start_s": 1.0, "end_s": 2.5, "score": 0.71, "title": "film [1]"}
    service.answers = {"/search": (200, [hit])}
    assert dailies("search", "a cat", "--limit", "3", "--json").json == [hit]
    assert service.asked[-1] == ("GET", "/search?q=a+cat&limit=3")
    assert "0.710" in dailies("search", "a cat").out
    service.answers = {"/search": (200, [])}
    assert "no scenes" in dailies("search", "a cat").out


def hit(**changes: object) -> dict[str, object]:
    whole = {
        "scene_id": "5a17",
        "video_id": VIDEO_ID,
        "start_s": 1.0,
        "end_s": 2.5,
        "score": 0.21,
        "title": "film [1]",
        "confidence": 0.87,
        "is_good_match": True,
        "why": {"visual": {"rank": 1, "similarity": 0.21}, "text": None},
        "url": f"http://service/videos/{VIDEO_ID}?t=1",
        "poster_url": None,
        "same": [{"scene_id": "5a18"}],
    }
    return {**whole, **changes}


def test_search_says_how_sure_it_is_why_and_where_it_plays(
    service: FakeService, dailies: Dailies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    words = {"visual": {"rank": 2, "similarity": 0.01}, "text": {"rank": 1, "words": ["Cats"]}}
    service.answers = {"/search": (200, [hit(), hit(confidence=0.02, why=words, same=[])])}
    ran = dailies("search", "a cat")
    first, second = (line for line in ran.out.splitlines() if "film [1]" in line)
    assert "87%" in first
    assert "picture; +1 that look the same" in first
    assert second.rstrip().endswith("text: Cats")
    assert f"http://service/videos/{VIDEO_ID}?t=1\n" in ran.out
    assert "no good match" not in ran.out
    service.answers = {"/search": (200, [hit(is_good_match=False, confidence=0.1)])}
    assert dailies("search", "a cat").out.startswith("no good match; the nearest scenes:\n")


def test_search_passes_its_filters_on_and_finds_by_picture_and_by_scene(
    service: FakeService, dailies: Dailies, tmp_path: Path
) -> None:
    service.answers = {"/search": (200, [hit()]), "/search/image": (200, [hit()]), "/scenes/5a17/similar": (200, [])}
    dailies(
        "search",
        "a cat",
        "--video",
        VIDEO_ID,
        "--after",
        "2026-11-01",
        "--shorter",
        "60",
        "--good",
        "--every",
        "--from",
        "2.5",
        "--to",
        "0",
    )
    method, target = service.asked[-1]
    assert method == "GET"
    assert parse_qs(urlsplit(target).query) == {
        "q": ["a cat"],
        "limit": ["10"],
        "created_from": ["2026-11-01T00:00:00"],
        "duration_to_s": ["60.0"],
        "time_from_s": ["2.5"],
        "time_to_s": ["0.0"],
        "good_only": ["true"],
        "collapse": ["false"],
        "video": [VIDEO_ID],
    }
    (tmp_path / "photo.jpg").write_bytes(b"a picture")
    assert dailies("search", "--image", tmp_path / "photo.jpg", "--json").json == [hit()]
    assert service.asked[-1] == ("POST", "/search/image?limit=10")
    assert service.bodies[-1] == b"a picture"
    dailies("search", "--like", "5a17")
    assert service.asked[-1] == ("GET", "/scenes/5a17/similar?limit=10")


def test_search_follows_the_service_to_later_pages(service: FakeService, dailies: Dailies, tmp_path: Path) -> None:
    service.answers = {"/search": (200, [hit()]), "/search/image": (200, [hit()])}
    service.following = {"/search?q=a+cat&limit=1": "/search?q=a+cat&limit=1&cursor=x"}
    ran = dailies("search", "a cat", "--limit", "1", "--page", "2")
    assert service.asked[-1] == ("GET", "/search?q=a+cat&limit=1&cursor=x")
    assert "more: --page 3" in ran.out
    assert next(line for line in ran.out.splitlines() if "film [1]" in line).split()[0] == "2"
    assert dailies("search", "a cat", "--limit", "1", "--page", "3").out == "no more scenes\n"
    service.following = {"/search/image?limit=10": "/search/image?limit=10&cursor=y"}
    (tmp_path / "photo.jpg").write_bytes(b"a picture")
    assert "more" not in dailies("search", "--image", tmp_path / "photo.jpg", "--page", "2").out
    assert (service.asked[-1], service.bodies[-1]) == (("POST", "/search/image?limit=10&cursor=y"), b"a picture")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DAILIES_MEDIA__CRF", "99"),
        ("DAILIES_MEDIA__LADDER", "foo"),
        ("DAILIES_MEDIA__NONSENSE", "1"),
        ("DAILIES_MEDIA", "{"),
    ],
)
def test_a_wrong_setting_exits_with_2_and_a_sentence_that_names_it(
    dailies: Dailies, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    ran = dailies("up")
    assert (ran.code, ran.out) == (2, "")
    assert dailies("doctor").err == ran.err
    assert ran.err.startswith("dailies: ")
    assert name in ran.err
    assert ran.err.count("\n") == 1


def test_a_wrong_secret_is_not_repeated(dailies: Dailies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAILIES_STORAGE__SECRET_KEYS", "hush")
    ran = dailies("doctor")
    assert ran.code == 2
    assert "DAILIES_STORAGE__SECRET_KEYS" in ran.err
    assert "hush" not in ran.err


def test_the_doctor_shows_every_layer_of_the_jail_and_how_to_install_dailies(
    dailies: Dailies, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = dailies("doctor", "--json")
    checks = {check["name"]: check for check in ran.json}
    assert checks.keys() >= {"parent-death", "rlimits", "no-new-privs", "landlock", "seccomp", "tone mapping", "av1"}
    assert "pip install dailies" not in ran.out


@pytest.mark.parametrize(
    ("name", "verdict", "says"),
    [("bundled", "ok", "384 numbers"), ("somebody/a-clip", "missing", "DAILIES_ENCODER__REVISION")],
)
def test_the_doctor_says_whether_the_encoder_can_be_used(
    dailies: Dailies, monkeypatch: pytest.MonkeyPatch, name: str, verdict: str, says: str
) -> None:
    monkeypatch.setenv("DAILIES_ENCODER__NAME", name)
    [check] = [check for check in dailies("doctor", "--json").json if check["name"] == "encoder"]
    assert check["verdict"] == verdict
    assert says in f"{check['found']} {check['mend']}"


@pytest.mark.parametrize("command", ["ingest", "show", "videos", "search", "demo"])
def test_help_shows_examples(dailies: Dailies, command: str) -> None:
    ran = dailies(command, "--help")
    assert ran.code == 0
    assert f"dailies {command}" in ran.out
    assert "Examples:" in ran.out
