"""What a checkpoint is called, read from its files alone."""

import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from safetensors.torch import load_file, save_file

from core.errors import MissingDependency
from core.settings import EncoderSettings
from encoders import catalog, checkpoint_files

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def spec_of(folder: Path, **changes: str):
    return catalog.spec_for(EncoderSettings(name=str(folder), device="cpu", **changes))


@pytest.fixture
def copy(clip_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(clip_folder, tmp_path / clip_folder.name)


def retrain(folder: Path, change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_one_small_tensor_that_was_trained_on_makes_another_space(copy: Path):
    before = spec_of(copy)
    name = min(load_file(copy / "model.safetensors").items(), key=lambda each: each[1].numel())[0]
    retrain(copy, lambda weights: weights[name].add_(0.125))
    assert spec_of(copy).revision != before.revision


@pytest.mark.parametrize("part", ["start", "middle", "end"])
def test_a_large_tensor_is_looked_at_from_start_to_end(copy: Path, part: str):
    retrain(copy, lambda weights: weights.update({"extra": weights["logit_scale"].new_zeros(100_000)}))
    before = spec_of(copy)
    changed = {"start": slice(0, 10), "middle": slice(49_900, 50_100), "end": slice(-10, None)}[part]
    retrain(copy, lambda weights: weights["extra"][changed].add_(1))
    assert spec_of(copy).revision != before.revision


def test_a_vocabulary_that_is_no_json_is_part_of_the_content(copy: Path):
    before = spec_of(copy)
    (copy / "merges.txt").write_text("a b\n")
    assert spec_of(copy).revision != before.revision


def test_the_content_of_a_folder_is_its_revision_whatever_the_settings_say(copy: Path):
    assert spec_of(copy, revision=COMMIT) == spec_of(copy)


def test_a_file_that_only_claims_to_hold_weights_is_refused(copy: Path):
    (copy / "model.safetensors").write_bytes(b"no weights at all, but more than eight bytes")
    with pytest.raises(MissingDependency, match="its header cannot be read"):
        spec_of(copy)


def test_a_folder_is_read_again_only_when_it_changed(copy: Path):
    reads = checkpoint_files.of_folder.cache_info
    spec_of(copy)
    before = reads()
    assert spec_of(copy) == spec_of(copy)
    assert (reads().misses, reads().hits) == (before.misses, before.hits + 2)


class Hub:
    """A hub that has none of the files that it is asked for; counts the questions."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        hub = self

        class Answer(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub.asked.append(self.path)
                self.send_response(404)
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)


@pytest.fixture
def downloaded(clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EncoderSettings:
    """A checkpoint of the hub as its cache keeps it; it has no processor_config.json."""
    snapshot = tmp_path / "models--someone--tiny-clip" / "snapshots" / COMMIT
    shutil.copytree(clip_folder, snapshot)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    checkpoint_files.of_hub.cache_clear()
    return EncoderSettings(name="someone/tiny-clip", revision=COMMIT)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    made = Hub()
    thread = Thread(target=made.server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{made.server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_a_downloaded_checkpoint_is_named_without_the_hub(
    downloaded: EncoderSettings, clip_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    spec = catalog.spec_for(downloaded)
    assert (spec.name, spec.revision) == (downloaded.name, COMMIT)
    assert spec.preprocess == spec_of(clip_folder).preprocess


def test_the_hub_is_asked_once_for_a_file_that_the_checkpoint_does_not_have(downloaded: EncoderSettings, hub: Hub):
    catalog.spec_for(downloaded)
    assert [path.rpartition("/")[2] for path in hub.asked] == ["processor_config.json"]
    checkpoint_files.of_hub.cache_clear()  # as in another process
    catalog.spec_for(downloaded)
    assert len(hub.asked) == 1
