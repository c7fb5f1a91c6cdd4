"""A switch of encoder on a live system: searches go on, and never see two spaces at once."""

import json
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Self
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from core.settings import EncoderSettings, Settings
from core.values import EncoderSpec, Ticket
from encoders.catalog import spec_for
from encoders.load import load
from models import attempts, publication, spaces
from models.session import transaction
from models.space_index import ensure_index
from models.states import IndexState
from service.app import create_app
from tests.integration.service.conftest import FakeDispatch, nothing
from tests.tiny_checkpoints import save_clip

QUERY = "a cup of coffee"
#: Fingerprint of the shots that `indexed_video` publishes.
SHOTS = "s1"


@pytest.fixture
def pair(tmp_path, settings: Settings) -> list[EncoderSettings]:
    """Two tiny encoders of different dimension; the first one is what everything is set to."""
    folders = [save_clip(tmp_path / name, dim=dim, seed=dim) for name, dim in (("older", 24), ("newer", 16))]
    return [EncoderSettings(name=str(folder), device="cpu", canaries=False) for folder in folders]


@pytest.fixture
def door(settings: Settings, dispatch: FakeDispatch, pair: list[EncoderSettings]) -> Iterator[TestClient]:
    chosen = settings.model_copy(update={"encoder": pair[0]})
    with TestClient(create_app(chosen, dispatch=dispatch.run, settle=nothing, reconcile=nothing)) as opened:
        yield opened


def rows_for(spec: EncoderSpec) -> list[list[float]]:
    """Vectors of a video's two scenes, other ones in each space."""
    return [[0.0] * place + [1.0] + [0.0] * (spec.dim - place - 1) for place in (spec.dim - 1, spec.dim - 2)]


def ticket_of(settings: Settings, video_id: UUID) -> Ticket:
    with transaction(settings.database) as session:
        return attempts.beside(session, video_id)


def open_space(settings: Settings, encoder: EncoderSettings) -> int:
    with transaction(settings.database) as session:
        space = spaces.register(session, spec_for(encoder), encoder.name)
    assert ensure_index(settings.database, space) is IndexState.READY
    return space.id


def embed_by(settings: Settings, encoder: EncoderSettings, video_id: UUID) -> None:
    spec = spec_for(encoder)
    with transaction(settings.database) as session:
        publication.add_vectors(session, ticket_of(settings, video_id), SHOTS, spec, rows_for(spec))


def scores(encoder: EncoderSettings, rows: list[list[float]]) -> list[float]:
    """Scores that a video's scenes have in one space for QUERY, best first."""
    text = load(encoder).encode_texts([QUERY])[0]
    return sorted((float(text @ row) for row in rows), reverse=True)


class Asker:
    """Searches without a pause until told to stop; keeps what was answered."""

    def __init__(self, door: TestClient) -> None:
        self._door = door
        self._stop = Event()
        self.answers: list[tuple[int, list[dict[str, object]]]] = []
        self._thread = Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            answer = self._door.get("/search", params={"q": QUERY, "limit": 50, "collapse": "false"})
            self.answers.append((answer.status_code, answer.json()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()


def test_searches_during_a_backfill_never_fail_and_never_mix_spaces(
    door: TestClient, settings: Settings, pair: list[EncoderSettings], indexed_video: Callable[..., UUID]
) -> None:
    older, newer = pair
    videos = [indexed_video(key=f"{number}.mp4", spec=spec_for(older)) for number in range(6)]
    old_rows = [[1.0, *[0.0] * 23], [0.0, 1.0, *[0.0] * 22]]
    before, after = scores(older, old_rows), scores(newer, rows_for(spec_for(newer)))
    open_space(settings, newer)
    with Asker(door) as asking:
        for number, video_id in enumerate(videos):
            refused = door.post("/encoders/activate", json={"name": "newer"})
            assert (refused.status_code, refused.json()["error"]) == (409, "space_in_use")
            assert f"{2 * number} of 12 scenes" in refused.json()["message"]
            embed_by(settings, newer, video_id)
        switched = door.post("/encoders/activate", json={"name": "newer"})
        assert switched.status_code == 200, switched.text
        asked = len(asking.answers)
        while len(asking.answers) < asked + 2:
            assert door.get("/search", params={"q": QUERY}).status_code == 200
    assert {status for status, _ in asking.answers} == {200}
    seen = [sorted({round(hit["score"], 3) for hit in hits}, reverse=True) for _, hits in asking.answers]
    of_older, of_newer = ([round(score, 3) for score in each] for each in (before, after))
    switch = next(number for number, each in enumerate(seen) if each == pytest.approx(of_newer, abs=2e-3))
    assert all(each == pytest.approx(of_older, abs=2e-3) for each in seen[:switch])
    assert all(each == pytest.approx(of_newer, abs=2e-3) for each in seen[switch:])
    assert all(len(hits) == 12 for _, hits in asking.answers)


def test_the_old_space_takes_over_again_with_one_call_and_then_can_be_dropped(
    door: TestClient, settings: Settings, pair: list[EncoderSettings], indexed_video: Callable[..., UUID]
) -> None:
    older, newer = pair
    video_id = indexed_video(spec=spec_for(older))
    open_space(settings, newer)
    embed_by(settings, newer, video_id)
    assert door.post("/encoders/activate", json={"name": "newer"}).json()["before"].startswith("older@")
    refused = door.post("/encoders/drop", json={"name": "newer"})
    assert (refused.status_code, refused.json()["error"]) == (409, "space_in_use")
    back = door.post("/encoders/activate", json={"name": "older"}).json()
    assert (back["before"].partition("@")[0], back["objections"]) == ("newer", [])
    assert door.post("/encoders/drop", json={"name": "newer"}).json()["vectors"] == 2
    assert [space["name"] for space in door.get("/encoders").json()] == ["older"]
    assert "DAILIES_ENCODER__NAME" not in door.post("/encoders/drop", json={"name": "older"}).json()["message"]


def test_a_space_that_cannot_answer_its_golden_queries_is_not_activated_unless_forced(
    settings: Settings,
    dispatch: FakeDispatch,
    pair: list[EncoderSettings],
    indexed_video: Callable[..., UUID],
    tmp_path,
) -> None:
    older, newer = pair
    wanted = indexed_video(spec=spec_for(older))
    golden = tmp_path / "golden.json"
    golden.write_text(json.dumps([{"query": QUERY, "video_id": str(wanted), "within": 2}]))
    other = indexed_video(key="other.mp4", spec=spec_for(older))
    chosen = settings.model_copy(update={"encoder": older.model_copy(update={"golden": golden})})
    text = load(newer).encode_texts([QUERY])[0].tolist()
    open_space(settings, newer)
    spec = spec_for(newer)
    with transaction(settings.database) as session:
        # The new encoder finds the wrong video: its scenes are the query itself, the right one's its opposite.
        publication.add_vectors(session, ticket_of(settings, other), SHOTS, spec, [text, text])
        publication.add_vectors(session, ticket_of(settings, wanted), SHOTS, spec, [[-x for x in text]] * 2)
    with TestClient(create_app(chosen, dispatch=dispatch.run, settle=nothing, reconcile=nothing)) as door:
        refused = door.post("/encoders/activate", json={"name": "newer"})
        assert refused.status_code == 409
        assert f"does not find video {wanted} among the first 2" in refused.json()["message"]
        forced = door.post("/encoders/activate", json={"name": "newer", "force": True}).json()
        assert len(forced["objections"]) == 1
        golden.write_text("{}")
        broken = door.post("/encoders/activate", json={"name": "older"})
        assert "cannot be read" in broken.json()["message"]
        assert forced["untried"] == []


@pytest.mark.parametrize(("blind", "says"), [(6, "are one and the same"), (4, "hardly differ")])
def test_a_space_whose_encoder_was_blind_for_most_of_the_library_is_not_activated(
    door: TestClient,
    settings: Settings,
    pair: list[EncoderSettings],
    indexed_video: Callable[..., UUID],
    blind: int,
    says: str,
) -> None:
    older, newer = pair
    videos = [indexed_video(key=f"{number}.mp4", spec=spec_for(older)) for number in range(8)]
    open_space(settings, newer)
    spec = spec_for(newer)
    same, nearly = [1.0] + [0.0] * (spec.dim - 1), [1.0, 0.01] + [0.0] * (spec.dim - 2)
    others = [nearly, nearly] if says == "hardly differ" else rows_for(spec)
    with transaction(settings.database) as session:
        for number, video_id in enumerate(videos):
            rows = [same, same] if number < blind else others
            publication.add_vectors(session, ticket_of(settings, video_id), SHOTS, spec, rows)
    refused = door.post("/encoders/activate", json={"name": "newer"})
    assert refused.status_code == 409
    assert says in refused.json()["message"]


def test_a_switch_says_when_no_golden_query_was_there_to_be_tried(
    door: TestClient, settings: Settings, pair: list[EncoderSettings], indexed_video: Callable[..., UUID]
) -> None:
    older, newer = pair
    video_id = indexed_video(spec=spec_for(older))
    open_space(settings, newer)
    embed_by(settings, newer, video_id)
    [note] = door.post("/encoders/activate", json={"name": "newer"}).json()["untried"]
    assert "DAILIES_ENCODER__GOLDEN" in note
