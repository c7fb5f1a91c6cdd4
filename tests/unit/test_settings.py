"""Settings: every one is documented, frozen, and read from the environment."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from core.settings import Settings

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


def fields(model: type[BaseModel], prefix: str = "DAILIES_") -> Iterator[tuple[str, str]]:
    """Every setting's variable and description."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from fields(kind, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", field.description or ""


def test_every_setting_stands_in_the_docs_with_its_description():
    text = DOCS.read_text()
    assert [name for name, description in fields(Settings) if f"| `{name}` | {description} |" not in text] == []


def test_a_nested_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAILIES_MEDIA__LADDER", "[720,360]")
    assert Settings().media.ladder == (720, 360)


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAILIES_WORKFLOW__GPU_AT_ONCE", "")
    monkeypatch.setenv("DAILIES_MEDIA__CRF", "")
    assert (Settings().workflow.gpu_at_once, Settings().media.crf) == (None, 23)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DAILIES_MEDIA__LADDER", "[360,720]"),
        ("DAILIES_MEDIA__LADDER", "[]"),
        ("DAILIES_MEDIA__CRF", "99"),
        ("DAILIES_MEDIA__PRESET", "sluggish"),
        ("DAILIES_MEDIA__NONSENSE", "1"),
        ("DAILIES_SERVICE__PORT", "port"),
        ("DAILIES_SHOTS__DETECTOR", "content"),
        ("DAILIES_SHOTS__MERGE_LIKENESS", "2"),
        ("DAILIES_TASK_RUNNER", "processes"),
        ("DAILIES_DASK__GPU", '["publish"]'),
    ],
)
def test_a_wrong_setting_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        Settings()


def test_settings_cannot_be_changed_and_hide_their_secrets(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAILIES_STORAGE__SECRET_KEY", "hush")
    settings = Settings()
    with pytest.raises(ValidationError):
        settings.owner_id = "else"  # type: ignore[misc]
    assert "hush" not in repr(settings)


def test_the_environment_is_not_read_by_importing():
    wrong = {**os.environ, "DAILIES_MEDIA__CRF": "99", "PYTHONPATH": str(DOCS.parents[1])}
    import_it = [sys.executable, "-c", "import core.settings"]
    read_it = [sys.executable, "-c", "import core.settings; core.settings.Settings()"]
    assert subprocess.run(import_it, env=wrong, timeout=30, check=False).returncode == 0
    refused = subprocess.run(read_it, env=wrong, timeout=30, check=False, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "media.crf" in refused.stderr


def test_scratch_and_data_may_be_named_relative_to_where_a_command_is_run() -> None:
    assert Settings(scratch=Path("media")).scratch_dir == Path.cwd() / "media"
    assert Settings(data=Path("here")).scratch_dir == Path.cwd() / "here" / "scratch"
