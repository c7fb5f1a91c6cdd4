"""Alive is not ready."""

import subprocess
import sys

from fastapi.testclient import TestClient

from core.settings import DatabaseSettings, Settings, StorageSettings
from service.app import create_app
from tests.integration.service.conftest import nothing


def test_a_service_with_both_stores_is_ready(client: TestClient) -> None:
    assert client.get("/readyz").status_code == 200


def test_a_service_without_its_stores_is_alive_and_says_what_is_missing(settings: Settings) -> None:
    lost = settings.model_copy(
        update={
            "storage": StorageSettings(endpoint="127.0.0.1:9", access_key="a", secret_key="b" * 10),
            "database": DatabaseSettings(url="postgresql+psycopg://nobody:secret@127.0.0.1:9/none"),
        }
    )
    client = TestClient(create_app(lost, dispatch=nothing, settle=nothing, reconcile=nothing))
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert set(answer.json()["problems"]) == {"database", "store"}
    assert "secret" not in answer.text
    listed = client.get("/videos")
    assert (listed.status_code, listed.json()["error"]) == (503, "unavailable")


def test_neither_torch_nor_prefect_is_imported_before_it_is_needed() -> None:
    code = "import sys, service.app; print(sorted({'torch', 'prefect', 'transformers'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_schema_of_the_door_can_be_read(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/events/object-created", "/videos", "/videos/{video_id}/files/{path}", "/search"} <= paths.keys()


def test_pages_get_the_player_from_the_service_itself(client: TestClient) -> None:
    answer = client.get("/static/hls.min.js")
    assert answer.status_code == 200
    assert "javascript" in answer.headers["content-type"]
    assert client.get("/static/nothing.js").json()["error"] == "not_found"
