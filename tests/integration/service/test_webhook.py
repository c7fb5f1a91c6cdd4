"""The webhook: what is announced is recorded once, whoever says it how often."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from core.settings import Settings, StorageSettings
from models import SourceObject, Video, VideoStatus
from models.session import transaction
from service.app import create_app
from service.webhook import MAX_BODY_BYTES
from storage import keys
from tests.integration.service.conftest import FakeDispatch, nothing

PATH = "/events/object-created"
AUTHORISED = {"Authorization": "Bearer a-token-of-one-word"}
DEADLINE_S = 10.0


def created(*object_keys: str, bucket: str = "uploads") -> dict:
    return {
        "Records": [
            {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}}
            for key in object_keys
        ]
    }


def rows(settings: Settings) -> list[SourceObject]:
    with transaction(settings.database) as session:
        return list(session.scalars(select(SourceObject).order_by(SourceObject.seen_at)))


def videos(settings: Settings) -> int:
    with transaction(settings.database) as session:
        return session.scalars(select(func.count()).select_from(Video)).one()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_the_same_event_five_times_makes_one_inbox_row_and_one_run(
    client: TestClient, settings: Settings, dispatch: FakeDispatch, put: Callable[..., None]
) -> None:
    put("a.mp4")
    for _ in range(5):
        answer = client.post(PATH, json=created("a.mp4"), headers=AUTHORISED)
        assert answer.status_code == 200
        assert answer.json() == {"recorded": 1, "missing": 0}
    [row] = rows(settings)
    until(lambda: dispatch.dispatched == [row.id])
    assert videos(settings) == 1


def test_deliveries_and_the_clients_word_that_come_together_make_one_video(
    client: TestClient, settings: Settings, put: Callable[..., None]
) -> None:
    ticket = client.post("/videos/upload/init", json={"file_name": "a.mp4"}).json()
    put(ticket["key"])

    def tell(number: int) -> int:
        if number % 2:
            return client.post("/videos/upload/complete", json={"video_id": ticket["video_id"]}).status_code
        return client.post(PATH, json=created(ticket["key"]), headers=AUTHORISED).status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(tell, range(12))) == {200}
    assert (len(rows(settings)), videos(settings)) == (1, 1)


def test_an_overwritten_key_becomes_a_second_video(
    client: TestClient, settings: Settings, put: Callable[..., None]
) -> None:
    for content in (b"first", b"second, longer"):
        put("a.mp4", content)
        client.post(PATH, json=created("a.mp4"), headers=AUTHORISED)
    first, second = rows(settings)
    assert first.video_id != second.video_id
    assert (first.size_bytes, second.size_bytes) == (5, 14)


def test_one_event_with_several_records_records_each(
    client: TestClient, settings: Settings, put: Callable[..., None]
) -> None:
    put("a b+c.mp4")
    put("d.mp4", b"")
    answer = client.post(PATH, json=created("a+b%2Bc.mp4", "d.mp4", "gone.mp4", "d.mp4"), headers=AUTHORISED)
    assert answer.json() == {"recorded": 2, "missing": 1}
    assert {row.key: row.size_bytes for row in rows(settings)} == {"a b+c.mp4": 1000, "d.mp4": 0}


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer wrong", "bearer", "Bearer ", "Basic a-token-of-one-word", "Bearer \u00fcber"]
)
def test_a_wrong_token_is_refused_and_makes_no_row(
    client: TestClient, settings: Settings, put: Callable[..., None], authorization: str | None
) -> None:
    put("a.mp4")
    headers = {} if authorization is None else {"Authorization": authorization.encode("latin-1")}
    answer = client.post(PATH, json=created("a.mp4"), headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"] == "not_authorised"
    assert rows(settings) == []


def test_without_a_configured_token_every_event_is_refused(settings: Settings, put: Callable[..., None]) -> None:
    put("a.mp4")
    open_door = settings.model_copy(
        update={"events": settings.events.model_copy(update={"token": type(settings.events.token)("")})}
    )
    client = TestClient(create_app(open_door, dispatch=nothing, settle=nothing, reconcile=nothing))
    for authorization in ("", "Bearer ", "Bearer", "Bearer None"):
        assert client.post(PATH, json=created("a.mp4"), headers={"Authorization": authorization}).status_code == 401
    assert rows(settings) == []


def test_a_probe_is_answered_without_a_token(client: TestClient) -> None:
    assert client.head(PATH).status_code == 200
    assert client.get(PATH).status_code == 200
    assert client.post(PATH, content=b"", headers=AUTHORISED).json() == {"recorded": 0, "missing": 0}


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"hello": "world"}'])
def test_what_is_no_event_is_answered_with_a_sentence(client: TestClient, settings: Settings, body: bytes) -> None:
    answer = client.post(PATH, content=body, headers=AUTHORISED)
    assert answer.status_code == 422
    assert answer.json()["error"] == "malformed_event"
    assert answer.json()["message"].endswith(("SeaweedFS.", "JSON."))
    assert rows(settings) == []


def test_a_body_over_the_limit_is_not_read(client: TestClient) -> None:
    answer = client.post(PATH, content=b" " * (MAX_BODY_BYTES + 1), headers=AUTHORISED)
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")


def test_other_buckets_directories_and_parts_record_nothing(
    client: TestClient, settings: Settings, put: Callable[..., None]
) -> None:
    put("a.mp4")
    for payload in (created("a.mp4", bucket="derived"), created("videos/"), created(".uploads/x/0001.part")):
        assert client.post(PATH, json=payload, headers=AUTHORISED).json() == {"recorded": 0, "missing": 0}
    assert rows(settings) == []


def test_a_store_that_does_not_answer_makes_the_sender_try_again(settings: Settings) -> None:
    nowhere = StorageSettings(endpoint="127.0.0.1:9", access_key="a", secret_key="b" * 10)
    client = TestClient(
        create_app(
            settings.model_copy(update={"storage": nowhere}), dispatch=nothing, settle=nothing, reconcile=nothing
        )
    )
    answer = client.post(PATH, json=created("a.mp4"), headers=AUTHORISED)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "127.0.0.1" not in answer.text


def test_an_upload_waits_in_the_inbox_while_prefect_is_down_and_is_dispatched_later(
    client: TestClient, settings: Settings, dispatch: FakeDispatch, put: Callable[..., None]
) -> None:
    dispatch.is_down = True
    put("a.mp4")
    assert client.post(PATH, json=created("a.mp4"), headers=AUTHORISED).status_code == 200
    until(lambda: dispatch.passes > 0)
    [row] = rows(settings)
    assert row.dispatched_at is None
    dispatch.is_down = False
    until(lambda: rows(settings)[0].dispatched_at is not None)  # nobody asked again: the service repeats it
    assert dispatch.dispatched == [row.id]


def test_rows_that_waited_while_the_service_was_down_are_dispatched_after_its_start(
    settings: Settings, dispatch: FakeDispatch, put: Callable[..., None]
) -> None:
    put("a.mp4")
    silent = TestClient(
        create_app(settings, dispatch=nothing, settle=nothing, reconcile=nothing)
    )  # no lifespan: nothing dispatches
    silent.post(PATH, json=created("a.mp4"), headers=AUTHORISED)
    with TestClient(create_app(settings, dispatch=dispatch.run, settle=nothing, reconcile=nothing)):
        until(lambda: len(dispatch.dispatched) == 1)


def test_reconcile_runs_by_the_clock_and_its_errors_do_not_end_the_service(settings: Settings) -> None:
    passes = []

    def broken(_settings: Settings) -> None:
        passes.append(1)
        raise RuntimeError("a bug")

    often = settings.model_copy(
        update={
            "service": settings.service.model_copy(update={"reconcile_every": settings.service.reconcile_every / 600})
        }
    )
    with TestClient(create_app(often, dispatch=nothing, settle=nothing, reconcile=broken)) as client:
        until(lambda: len(passes) >= 2)
        assert client.get("/healthz").status_code == 200


def test_an_announced_upload_keeps_its_video(client: TestClient, settings: Settings, put: Callable[..., None]) -> None:
    ticket = client.post("/videos/upload/init", json={"file_name": "My film.mp4", "title": "Holiday"}).json()
    put(ticket["key"])
    client.post(PATH, json=created(ticket["key"]), headers=AUTHORISED)
    [row] = rows(settings)
    assert str(row.video_id) == ticket["video_id"]
    assert keys.announced_video(row.key) == row.video_id
    with transaction(settings.database) as session:
        video = session.get_one(Video, row.video_id)
        assert (video.title, video.status) == ("Holiday", VideoStatus.VALIDATING)
