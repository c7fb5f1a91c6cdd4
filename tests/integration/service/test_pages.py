"""The pages, as a browser asks for them."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from uuid import UUID, uuid4

from fastapi.testclient import TestClient

from core.settings import Settings
from encoders.catalog import spec_for
from models import inbox
from models.session import transaction

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(1)>{{ 7 * 7 }}"""


class Found(HTMLParser):
    """Every element of a page with its attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def addresses(page: Found) -> list[str]:
    named = [each.get(name) for _, each in page.elements for name in ("src", "href", "action", "poster", "data-file")]
    return [address for address in named if address]


def test_a_browser_gets_a_page_and_a_script_the_document(
    client: TestClient, indexed_video: Callable[..., UUID]
) -> None:
    path = f"/videos/{indexed_video()}"
    page = client.get(f"{path}?t=2", headers=BROWSER)
    assert page.headers["content-type"].startswith("text/html")
    for accept in ("*/*", "application/json"):
        document = client.get(path, headers={"Accept": accept})
        assert document.json()["status"] == "indexed"
        assert "Accept" in document.headers["vary"]
    assert "Accept" in page.headers["vary"]
    found = Found(page.text)
    [player] = found.all("video")[:1]
    assert (player["data-start"], player["data-file"]) == ("2", f"{path}/files/video.mp4")
    scenes = [link for link in found.all("a") if "data-start" in link]
    assert [link["data-start"] for link in scenes] == ["0", "1.5"]
    assert [link.get("aria-current") for link in scenes] == [None, "true"]
    assert [image["src"] for image in found.all("img") if "poster" in image["src"]] == [
        f"{path}/files/scenes/0/poster.jpg"
    ]


def test_a_second_that_is_none_or_past_the_end_does_no_harm(
    client: TestClient, indexed_video: Callable[..., UUID]
) -> None:
    path = f"/videos/{indexed_video()}"
    for second in ("99", "4.5"):
        page = client.get(path, params={"t": second}, headers=BROWSER)
        assert Found(page.text).all("video")[0]["data-start"] == "0"
    for second in ("-1", "nan", "inf", "x", "<script>"):
        refused = client.get(path, params={"t": second}, headers=BROWSER)
        assert refused.status_code == 422
        assert refused.headers["content-type"].startswith("text/html")
        assert "<script>" not in re.sub(r"<script src=[^>]*>", "", refused.text)


def test_what_uploaders_and_askers_write_is_text_and_never_markup(
    client: TestClient, settings: Settings, indexed_video: Callable[..., UUID]
) -> None:
    spec = spec_for(settings.encoder)
    video_id = indexed_video(spec=spec, title=HOSTILE, description=HOSTILE)
    scene_id = client.get(f"/videos/{video_id}").json()["scenes"][0]["scene_id"]
    paths = (f"/videos/{video_id}", "/", f"/?like={scene_id}", f"/videos/{uuid4()}?{HOSTILE}")
    pages = [client.get(path, headers=BROWSER) for path in paths]
    pages.append(client.get("/", params={"q": HOSTILE}, headers=BROWSER))
    for page in pages:
        found = Found(page.text)
        assert all(script["src"].startswith("/static/") for script in found.all("script"))
        assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "style" not in {name for _, attributes in found.elements for name in attributes}
        # Nothing is asked of anybody else.
        assert [each for each in addresses(found) if not re.match(r"/(?!/)|\?t=", each)] == []
    for page in (pages[0], pages[4]):
        assert "{{ 7 * 7 }}" in Found(page.text).text + str(Found(page.text).elements)


def test_every_file_that_a_page_names_is_there(client: TestClient, indexed_video: Callable[..., UUID]) -> None:
    found = Found(client.get(f"/videos/{indexed_video()}", headers=BROWSER).text)
    for address in addresses(found):
        if not address.startswith("?"):
            assert client.get(address, headers=BROWSER).status_code == 200, address


def test_a_video_that_is_not_ready_says_how_far_it_is(client: TestClient, settings: Settings) -> None:
    with transaction(settings.database) as session:
        video_id = inbox.announce(session, owner_id="local", file_name="a.mp4").id
    page = client.get(f"/videos/{video_id}", headers=BROWSER).text
    assert "Waiting for the upload" in page
    assert Found(page).all("video") == []
    assert any(each.get("http-equiv") == "refresh" for each in Found(page).all("meta"))


def test_a_page_that_is_not_there_is_a_page_to_a_browser_and_a_document_to_a_script(client: TestClient) -> None:
    for path in (f"/videos/{uuid4()}", "/nowhere", f"/?like={uuid4()}"):
        page = client.get(path, headers=BROWSER)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert client.get(path).json()["error"] == "not_found"


def test_the_first_page_shows_the_newest_videos(client: TestClient, indexed_video: Callable[..., UUID]) -> None:
    video_id = indexed_video(title="Newest of all")
    indexed_video(key="theirs.mp4", owner_id="other", title="Not ours")
    page = client.get("/", headers=BROWSER).text
    assert f"/videos/{video_id}" in page
    assert "Newest of all" in page
    assert "Not ours" not in page
