"""Search through the public door, with the real bundled encoder for texts and pictures."""

import base64
import io
import json
import subprocess
import sys
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from skimage import data
from sqlalchemy import text

from core.settings import Settings
from core.values import EncoderSpec
from encoders.catalog import spec_for
from encoders.load import load
from models.session import transaction
from service.pictures import MAX_PICTURE_BYTES

MakeVideo = Callable[..., UUID]


@pytest.fixture
def spec(settings: Settings) -> EncoderSpec:
    return spec_for(settings.encoder)


@pytest.fixture(scope="module")
def photographs() -> dict[str, list[float]]:
    """Vectors of photographs that the encoder knows."""
    encoder = load(Settings().encoder)
    pictures = {"cat": data.chelsea(), "coffee": data.coffee(), "rocket": data.rocket(), "astronaut": data.astronaut()}
    return {name: encoder.encode_frames(picture[None])[0].tolist() for name, picture in pictures.items()}


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **options)
    return file.getvalue()


def found(client: TestClient, **query: object) -> list[dict]:
    answer = client.get("/search", params={"limit": 50, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_before_anything_is_indexed_a_search_finds_nothing(client: TestClient) -> None:
    answer = client.get("/search", params={"q": "a cat"})
    assert (answer.status_code, answer.json()) == (200, [])
    assert answer.headers["dailies-no-good-match"] == "true"
    assert client.post("/search/image", content=jpeg(data.chelsea())).json() == []
    assert client.get("/", headers={"Accept": "text/html"}).status_code == 200


def test_a_malformed_question_is_answered_with_a_sentence(client: TestClient) -> None:
    for query in (
        "",
        "q=%20",
        "q=a%00b",
        "q=x&limit=0",
        "q=x&limit=201",
        "q=x&video=1",
        "q=x&created_from=soon",
        "q=x&duration_to_s=nan",
        "q=x&time_from_s=-1",
        "q=" + "x" * 1001,
    ):
        answer = client.get(f"/search?{query}")
        assert (answer.status_code, answer.json()["error"]) == (422, "malformed_request"), query
    assert client.get("/scenes/1").status_code == 422


def test_another_encoder_than_the_active_one_is_never_asked(client: TestClient, indexed_video: MakeVideo) -> None:
    indexed_video()  # by the encoder `tiny`
    answer = client.get("/search", params={"q": "a cat"})
    assert (answer.status_code, answer.json()["error"]) == (409, "other_encoder")
    assert "tiny" in answer.json()["message"]


def test_a_hit_says_how_sure_it_is_why_it_was_found_and_where_it_plays(
    client: TestClient, indexed_video: MakeVideo, spec: EncoderSpec, photographs: dict[str, list[float]]
) -> None:
    video_id = indexed_video(spec=spec, vectors=[photographs["coffee"], photographs["cat"]])
    indexed_video(key="theirs.mp4", owner_id="other", spec=spec, vectors=[photographs["cat"], photographs["cat"]])
    answer = client.get("/search", params={"q": "a cat"})
    cat, coffee = answer.json()
    assert {cat["video_id"], coffee["video_id"]} == {str(video_id)}
    assert set(cat) >= {"scene_id", "video_id", "start_s", "end_s", "score", "title"}
    assert (cat["start_s"], cat["end_s"], cat["title"]) == (1.5, 4.5, "film")
    assert cat["url"].endswith(f"/videos/{video_id}?t=1.5")
    assert cat["why"] == {"visual": {"rank": 1, "similarity": cat["score"]}, "text": None}
    assert cat["is_good_match"]
    assert cat["confidence"] > 0.5 > coffee["confidence"]
    assert not coffee["is_good_match"]
    assert coffee["poster_url"].endswith(f"/videos/{video_id}/files/scenes/0/poster.jpg")
    assert client.get(coffee["poster_url"].partition(":8080")[2]).content == b"poster"
    assert answer.headers["dailies-no-good-match"] == "false"
    assert [hit["start_s"] for hit in found(client, q="a cat", good_only=True)] == [1.5]


def test_what_is_not_there_is_said_not_to_be_there(
    client: TestClient, indexed_video: MakeVideo, spec: EncoderSpec, photographs: dict[str, list[float]]
) -> None:
    indexed_video(spec=spec, vectors=[photographs["coffee"], photographs["cat"]])
    answer = client.get("/search", params={"q": "a steam locomotive"})
    assert answer.headers["dailies-no-good-match"] == "true"
    assert [hit["is_good_match"] for hit in answer.json()] == [False, False]
    assert found(client, q="a steam locomotive", good_only=True) == []


def test_words_of_title_and_description_find_a_video_and_its_scenes_that_fit_best(
    client: TestClient, indexed_video: MakeVideo, spec: EncoderSpec, photographs: dict[str, list[float]]
) -> None:
    indexed_video(key="a.mp4", spec=spec, vectors=[photographs["cat"], photographs["astronaut"]])
    named = indexed_video(
        key="b.mp4",
        spec=spec,
        vectors=[photographs["rocket"], photographs["coffee"]],
        title="Málaga harbour",
        description="A steam locomotive.",
    )
    hits = found(client, q="MALAGA harbours")
    assert {hit["video_id"] for hit in hits[:2]} == {str(named)}
    assert hits[0]["why"]["text"] == {"rank": 1, "words": ["Málaga", "harbour"]}
    assert all(hit["is_good_match"] for hit in hits[:2])
    assert [hit["why"]["text"] for hit in hits[2:]] == [None, None]
    hits = found(client, q="a steam locomotive")
    assert hits[0]["why"]["text"]["words"] == ["steam", "locomotive"]


def test_filters_keep_what_they_say(
    client: TestClient,
    settings: Settings,
    indexed_video: MakeVideo,
    spec: EncoderSpec,
    photographs: dict[str, list[float]],
) -> None:
    old = indexed_video(key="old.mp4", spec=spec, vectors=[photographs["rocket"], photographs["coffee"]], title="a cat")
    new = indexed_video(key="new.mp4", spec=spec, vectors=[photographs["cat"], photographs["astronaut"]])
    with transaction(settings.database) as session:
        change = "UPDATE video SET created_at = '2020-05-01T12:00Z', duration_s = 100 WHERE id = :id"
        session.execute(text(change), {"id": old})

    def videos(**filters: object) -> set[str]:
        return {hit["video_id"] for hit in found(client, q="a cat", **filters)}

    assert videos() == videos(video=[old, new]) == {str(old), str(new)}
    assert videos(video=new) == videos(created_from="2021-01-01") == videos(duration_to_s=50) == {str(new)}
    assert videos(video=old) == videos(created_to="2020-05-01T12:00:01Z") == videos(duration_from_s=100) == {str(old)}
    assert videos(created_to="2020-05-01T12:00:00Z") == videos(video=uuid4()) == set()
    assert {hit["start_s"] for hit in found(client, q="a cat", time_from_s=2)} == {1.5}
    assert {hit["start_s"] for hit in found(client, q="a cat", time_to_s=1)} == {0.0}


def test_pages_follow_one_another_while_videos_come_and_go(
    client: TestClient, settings: Settings, indexed_video: MakeVideo, spec: EncoderSpec
) -> None:
    rng = np.random.default_rng(7)

    def vectors() -> list[list[float]]:
        rows = rng.normal(size=(2, spec.dim))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).tolist()

    made = [indexed_video(key=f"{number}.mp4", spec=spec, vectors=vectors()) for number in range(5)]
    whole = [hit["scene_id"] for hit in found(client, q="a cat")]
    assert len(whole) == 10
    answer = client.get("/search", params={"q": "a cat", "limit": 4})
    seen = [hit["scene_id"] for hit in answer.json()]
    # One comes that would be first of all, and the last one shown goes.
    indexed_video(key="first.mp4", spec=spec, vectors=[load(settings.encoder).encode_texts(["a cat"])[0].tolist()] * 2)
    with transaction(settings.database) as session:
        session.execute(text("DELETE FROM scene WHERE id = :id"), {"id": seen[-1]})
    following = answer.links["next"]["url"]
    while following:
        page = client.get(following)
        seen += [hit["scene_id"] for hit in page.json()]
        following = page.links.get("next", {}).get("url")
    assert len(seen) == len(set(seen))
    assert set(whole) - set(seen) <= {whole[4]}
    assert len(made) == 5

    other = answer.links["next"]["url"].replace("a+cat", "a+dog")
    assert (client.get(other).status_code, client.get(other).json()["error"]) == (409, "stale_cursor")
    assert client.get("/search", params={"q": "a cat", "cursor": "x"}).json()["error"] == "malformed_request"


def test_a_forged_place_of_no_time_zone_is_refused_whatever_the_filters(
    client: TestClient, indexed_video: MakeVideo, spec: EncoderSpec
) -> None:
    indexed_video(spec=spec)
    asked = {"q": "a cat", "limit": 1, "created_to": "2100-01-01T00:00:00Z"}
    cursor = parse_qs(urlsplit(client.get("/search", params=asked).links["next"]["url"]).query)["cursor"][0]
    as_of, *rest = base64.urlsafe_b64decode(cursor).decode().split("|")
    forged = "|".join((as_of.partition("+")[0], *rest))
    answer = client.get("/search", params={**asked, "cursor": base64.urlsafe_b64encode(forged.encode()).decode()})
    assert (answer.status_code, answer.json()["error"]) == (422, "malformed_request")


def test_scenes_that_look_the_same_are_told_once_unless_every_one_is_wanted(
    client: TestClient, indexed_video: MakeVideo, spec: EncoderSpec, photographs: dict[str, list[float]]
) -> None:
    once = indexed_video(key="a.mp4", spec=spec, vectors=[photographs["cat"], photographs["coffee"]])
    again = indexed_video(key="b.mp4", spec=spec, vectors=[photographs["cat"], photographs["rocket"]])
    cat = found(client, q="a cat")[0]
    assert {cat["video_id"], *(same["video_id"] for same in cat["same"])} == {str(once), str(again)}
    assert len(found(client, q="a cat")) == 3
    assert len(found(client, q="a cat", collapse=False)) == 4


def test_hundreds_of_copies_do_not_hide_what_lies_behind_them(
    client: TestClient,
    settings: Settings,
    indexed_video: MakeVideo,
    spec: EncoderSpec,
    photographs: dict[str, list[float]],
) -> None:
    copied = indexed_video(key="copied.mp4", spec=spec, vectors=[photographs["cat"], photographs["cat"]])
    others = [indexed_video(key=f"{number}.mp4", spec=spec, vectors=far) for number, far in enumerate(_apart(spec, 8))]
    with transaction(settings.database) as session:
        session.execute(
            text(
                """
                WITH more AS (
                    INSERT INTO scene (id, video_id, owner_id, index, start_s, end_s)
                    SELECT gen_random_uuid(), :video, :owner, number, number, number + 1
                    FROM generate_series(2, 300) AS number RETURNING id
                )
                INSERT INTO scene_embedding (scene_id, encoder_id, owner_id, vector)
                SELECT more.id, encoder_id, :owner, vector FROM more, (
                    SELECT encoder_id, vector FROM scene_embedding JOIN scene ON scene.id = scene_id
                    WHERE video_id = :video LIMIT 1
                ) AS first
                """
            ),
            {"video": copied, "owner": settings.owner_id},
        )
    following: str | None = "/search?q=a+cat&limit=5"
    pages = []
    while following:
        answer = client.get(following)
        pages.append(answer.json())
        following = answer.links.get("next", {}).get("url")
    assert [len(page) for page in pages] == [5, 5, 5, 2]
    hits = [hit for page in pages for hit in page]
    assert len(hits[0]["same"]) == 300
    assert {hit["video_id"] for hit in hits} == {str(copied), *map(str, others)}
    assert len({hit["scene_id"] for hit in hits}) == 17
    # Nothing good lies behind the copies, nor is it looked for.
    assert [hit["scene_id"] for hit in found(client, q="a cat", limit=5, good_only=True)] == [hits[0]["scene_id"]]


def _apart(spec: EncoderSpec, pairs: int) -> list[list[list[float]]]:
    """Draw vectors that look like nothing, two and two."""
    rows = np.random.default_rng(5).normal(size=(pairs, 2, spec.dim))
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).tolist()


def test_a_picture_finds_scenes_however_it_is_sent_and_bad_ones_are_refused(
    client: TestClient, indexed_video: MakeVideo, spec: EncoderSpec, photographs: dict[str, list[float]]
) -> None:
    indexed_video(spec=spec, vectors=[photographs["coffee"], photographs["cat"]])
    picture = jpeg(data.chelsea(), quality=60)
    answer = client.post("/search/image", content=picture)
    assert [hit["start_s"] for hit in answer.json()] == [1.5, 0.0]
    assert answer.json()[0]["is_good_match"]
    as_form = client.post("/search/image?limit=1", data={"note": "x"}, files={"whatever": ("c.jpg", picture)})
    assert as_form.json() == answer.json()[:1]
    following = client.post(as_form.links["next"]["url"], content=picture)
    assert following.json() == answer.json()[1:]
    assert "next" not in following.links
    # The place is one in the list of this very picture.
    other = client.post(as_form.links["next"]["url"], content=jpeg(data.coffee()))
    assert (other.status_code, other.json()["error"]) == (409, "stale_cursor")
    for content, status, code in (
        (b"", 422, "malformed_request"),
        (b"not a picture", 422, "unreadable_picture"),
        (picture[: len(picture) // 3], 422, "unreadable_picture"),
        (b"x" * (MAX_PICTURE_BYTES + 20_000), 413, "too_large"),
    ):
        refused = client.post("/search/image", content=content)
        assert (refused.status_code, refused.json()["error"]) == (status, code)
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        refused = client.post("/search/image", content=b"garbage", headers={"Content-Type": kind})
        assert refused.json()["error"] == "malformed_request"


def test_a_scene_is_shown_and_compared_with_others(
    client: TestClient, indexed_video: MakeVideo, spec: EncoderSpec, photographs: dict[str, list[float]]
) -> None:
    mine = indexed_video(key="a.mp4", spec=spec, vectors=[photographs["cat"], photographs["coffee"]])
    indexed_video(key="b.mp4", spec=spec, vectors=[photographs["rocket"], photographs["astronaut"]])
    theirs = indexed_video(key="c.mp4", owner_id="other", spec=spec)
    scenes = client.get(f"/videos/{mine}").json()["scenes"]
    shown = client.get(f"/scenes/{scenes[1]['scene_id']}").json()
    assert (shown["video_id"], shown["index"], shown["start_s"], shown["title"]) == (str(mine), 1, 1.5, "a")
    assert shown["url"].endswith("?t=1.5")
    similar = client.get(f"/scenes/{scenes[1]['scene_id']}/similar").json()
    assert len(similar) == 3
    assert scenes[1]["scene_id"] not in {hit["scene_id"] for hit in similar}
    assert all(hit["why"]["text"] is None for hit in similar)
    with transaction(client.app.state.door.settings.database) as session:
        other = session.scalar(text("SELECT id FROM scene WHERE video_id = :id LIMIT 1"), {"id": theirs})
    for scene_id in (uuid4(), other):
        for path in ("", "/similar"):
            answer = client.get(f"/scenes/{scene_id}{path}")
            assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


WITHOUT_A_NETWORK = """
import json, sys
from fastapi.testclient import TestClient
from service.app import create_app
nothing = lambda settings: None
client = TestClient(create_app(dispatch=nothing, settle=nothing, reconcile=nothing))
paths = json.loads(sys.argv[1])
answers = [client.get(path, headers={"Accept": kind}).status_code for path in paths for kind in ("*/*", "text/html")]
print(json.dumps({"answers": answers, "torch": "torch" in sys.modules}))
"""


def test_a_service_that_is_asked_for_no_text_and_no_picture_never_loads_a_network(
    settings: Settings, client: TestClient, indexed_video: MakeVideo, spec: EncoderSpec
) -> None:
    video_id = indexed_video(spec=spec)
    scene_id = client.get(f"/videos/{video_id}").json()["scenes"][0]["scene_id"]
    paths = ["/", "/videos", f"/videos/{video_id}?t=2", f"/scenes/{scene_id}", f"/scenes/{scene_id}/similar"]
    paths.append(f"/?like={scene_id}")
    command = [sys.executable, "-c", WITHOUT_A_NETWORK, json.dumps(paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"answers": [200] * 12, "torch": False}
