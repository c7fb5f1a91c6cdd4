"""What an operator is told when a run fails, and what happens by itself when a run is lost, frozen or overtaken."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from core.faults import TAKEN, Fault, Moment, armed
from core.settings import get_settings
from core.stages import Stage
from deployments.automations import TELL, ensure_automations

if TYPE_CHECKING:
    from tests.conftest import Live


def set_off(live: "Live", path: Path, write: str, moment: Moment, fault: Fault) -> tuple[str, Path]:
    """Announce a video, arm one fault for it, upload it; give its id and the file that says the fault happened."""
    body = {"file_name": path.name}
    ticket = live.service.post("/videos/upload/init", json=body).raise_for_status().json()
    file = armed(live.faults, ticket["video_id"], write, moment)
    file.write_text(fault)
    live.put(path, ticket["key"])
    return ticket["video_id"], file.with_name(file.name + TAKEN)


def stage(video: dict[str, Any], name: str) -> dict[str, Any]:
    return next(stage for stage in video["stages"] if stage["stage"] == name)


@pytest.fixture
def told(live: "Live", monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Messages that reach the webhook which this stack is told to notify."""
    messages: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    def ensure() -> None:
        get_settings.cache_clear()
        with (
            temporary_settings({PREFECT_API_URL: live.environment["PREFECT_API_URL"]}),
            get_client(sync_client=True) as client,
        ):
            ensure_automations(client)
            assert len(client.read_automations_by_name(TELL)) == bool(get_settings().workflow.notify.get_secret_value())

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DAILIES_WORKFLOW__NOTIFY", f"http://127.0.0.1:{server.server_address[1]}/")
        ensure()
        ensure()  # again, as after an upgrade
        yield messages
        monkeypatch.delenv("DAILIES_WORKFLOW__NOTIFY")
        ensure()
        server.shutdown()


def test_a_failed_run_tells_its_page_and_a_person_what_happened(
    live: "Live", make_clip: Callable[..., Path], told: list[str]
):
    video_id, _ = set_off(live, make_clip("told.mp4", seconds=0.5), Stage.SHOTS, Moment.BEFORE, Fault.RAISE)
    failed = live.wait_for_status(video_id, "failed", "indexed")
    assert (failed["status"], failed["failure"]["stage"]) == ("failed", "shots")
    body = {"artifacts": {"flow_run_id": {"any_": [failed["flow_run_id"]]}}}

    def shown() -> str | None:
        found = live.prefect.post("/artifacts/filter", json=body).raise_for_status().json()
        return next((artifact["data"] for artifact in found if artifact["key"] == f"failure-{video_id}"), None)

    page = live.wait_for(shown, "the page", 15)
    assert "Failed in shots: `RuntimeError`" in page
    assert "reused: validate, transcode" in page
    assert "done again: shots, stills, embed, publish" in page
    assert failed["failure"]["fingerprint"] in page
    message = live.wait_for(lambda: told, "the message", 30)[0]
    assert "told" in message
    assert failed["flow_run_id"] in message
    live.service.post(f"/videos/{video_id}/rerun", json={}).raise_for_status()
    done = live.wait_for_status(video_id, "indexed")
    assert {name: stage(done, name)["attempts"] for name in ("validate", "transcode", "shots")} == {
        "validate": 1,
        "transcode": 1,
        "shots": 2,
    }


@pytest.mark.parametrize("deployment", ["reconcile/scheduled", "redrive/by-hand"])
def test_our_own_upkeep_runs_from_the_prefect_ui(live: "Live", deployment: str):
    found = live.prefect.get(f"/deployments/name/{deployment}").raise_for_status().json()
    made = live.prefect.post(f"/deployments/{found['id']}/create_flow_run", json={}).raise_for_status().json()
    ended = live.ended_run(made["id"])
    assert ended["state"]["type"] == "COMPLETED", ended["state"]


def test_a_run_that_prefect_lost_is_asked_for_again(live: "Live", make_clip: Callable[..., Path]):
    video_id, taken = set_off(live, make_clip("run-lost.mp4", seconds=0.5), "accept", Moment.AFTER, Fault.KILL)
    live.wait_for(taken.exists, "the kill", 60)
    lost = live.video(video_id)["flow_run_id"]
    live.prefect.delete(f"/flow_runs/{lost}").raise_for_status()
    done = live.wait_for_status(video_id, "indexed")
    assert done["flow_run_id"] != lost
    assert stage(done, "validate")["reused"]


def test_a_rerun_of_an_indexed_video_that_crashes_resumes_by_itself(live: "Live", make_clip: Callable[..., Path]):
    video = live.ingest(make_clip("rerun-crash.mp4", seconds=0.5))
    assert video["status"] == "indexed"
    live.ended_run(video["flow_run_id"])
    file = armed(live.faults, video["video_id"], Stage.STILLS, Moment.AFTER)
    file.write_text(Fault.KILL)
    live.service.post(f"/videos/{video['video_id']}/rerun", json={"from_stage": "stills"}).raise_for_status()

    def published_again() -> dict[str, Any] | None:
        now = live.video(video["video_id"])
        assert now["status"] == "indexed", "it stays playable and searchable throughout"
        return now if stage(now, "publish")["attempts"] == 2 else None

    done = live.wait_for(published_again, "published again", 120)
    assert file.with_name(file.name + TAKEN).exists()
    assert (stage(done, "stills")["attempts"], stage(done, "stills")["reused"]) == (2, True)
    assert live.ended_run(video["flow_run_id"])["run_count"] == 3


def test_a_frozen_process_that_was_overtaken_changes_nothing_when_it_wakes(
    live: "Live", make_clip: Callable[..., Path]
):
    key = live.put(make_clip("zombie.mp4", seconds=5.0, size="1280x720"))
    video_id = live.wait_for(lambda: live.videos(key), "the video", 30)[0]["video_id"]

    def transcoding() -> dict[str, Any] | None:
        now = live.video(video_id)
        return now if any(s["stage"] == "transcode" and s["state"] == "running" for s in now["stages"]) else None

    run_id = live.wait_for(transcoding, "transcode is running", 60, every_s=0.05)["flow_run_id"]
    zombie = live.wait_for(lambda: live.flow_process(run_id), "the flow process", 10)
    zombie.send_signal(signal.SIGSTOP)
    try:
        # What the automation does when no heartbeat comes; waiting for it would take a minute and a half.
        body = {"state": {"type": "CRASHED", "message": "No heartbeat."}, "force": True}
        live.prefect.post(f"/flow_runs/{run_id}/set_state", json=body).raise_for_status()
        done = live.wait_for_status(video_id, "indexed")
        live.wait_for(lambda: live.run(run_id)["state"]["type"] == "COMPLETED", "the run is completed", 30)
    finally:
        zombie.send_signal(signal.SIGCONT)
    live.wait_for(lambda: not zombie.is_running() or zombie.status() == "zombie", "the frozen process ends", 60)
    after = live.video(video_id)
    assert (after["status"], after["urls"]) == ("indexed", done["urls"])
    assert live.run(run_id)["state"]["type"] == "COMPLETED"
    assert stage(after, "publish")["attempts"] == stage(done, "publish")["attempts"]
