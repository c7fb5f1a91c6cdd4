"""What a backfill is said to take before it begins: how many videos, how many hours."""

import datetime as dt
from pathlib import Path

import pytest

from core.fingerprint import Recipes
from core.settings import Settings, get_settings
from core.stages import Stage
from core.values import Embedded, StoredFile
from dispatch import planning
from encoders.catalog import spec_for
from models import attempts, ledger, spaces, stage_statistic
from models.session import transaction
from models.states import StageState
from tasks.publishing import note_times
from tests.integration.library import AT_ONCE, SPEC, published
from tests.tiny_checkpoints import save_clip

SHOTS = planning.Selection(stage=Stage.SHOTS)


def took(settings: Settings, **seconds: float) -> None:
    """Note how long each stage took, once."""
    with transaction(settings.database) as session:
        for stage, each in seconds.items():
            stage_statistic.count(session, Stage(stage), None, StageState.DONE, each, 0.0)


def embedded(settings: Settings, space_id: int, *seconds: float) -> None:
    """Note how long each of some videos took to embed."""
    with transaction(settings.database) as session:
        for each in seconds:
            stage_statistic.note_embedding(session, space_id, each)


def hours(settings: Settings, selection: planning.Selection, per_minute: int = AT_ONCE) -> float | None:
    return planning.plan(settings, selection, per_minute).hours


def test_hours_are_those_of_every_stage_that_is_done_again_and_of_the_run_itself(settings: Settings, older: Recipes):
    with transaction(settings.database) as session:
        space_id = spaces.register(session, SPEC).id
    published(settings, older, 60)  # older shots make stills and vectors older, too
    took(settings, shots=60, stills=20, publish=1, transcode=1_000)
    assert hours(settings, SHOTS) is None, "vectors were never made here"
    took(settings, embed=33)
    # 60 videos: seconds of each are minutes of all. The transcode is up to date and not done again.
    assert hours(settings, SHOTS) == round((60 + 20 + 33 + 1 + planning.RUN_S) / 60, 2)
    tiny = planning.Selection(stage=Stage.EMBED, space="tiny")
    assert hours(settings, tiny) is None, "by this encoder nothing was embedded yet, whatever others took"
    embedded(settings, space_id, 40, 44)
    assert hours(settings, tiny) == round((42 + planning.RUN_S) / 60, 2)
    assert hours(settings, SHOTS, per_minute=1) == round(120 / 60, 2), "a run takes longer than a minute"
    assert hours(settings, tiny, per_minute=1) == 1, "the rate bounds it"


def test_dates_bound_what_is_counted_and_done_in_a_library_of_any_size(settings: Settings, older: Recipes):
    videos = published(settings, older, planning.SAMPLE + 30)
    since = dt.datetime.now(dt.UTC) - dt.timedelta(hours=planning.SAMPLE + 0.5)
    assert planning.plan(settings, SHOTS, AT_ONCE).videos == len(videos)
    assert planning.plan(settings, SHOTS.model_copy(update={"since": since}), AT_ONCE).videos == planning.SAMPLE
    assert planning.plan(settings, SHOTS.model_copy(update={"owner": "somebody else"}), AT_ONCE).videos == 0


@pytest.mark.parametrize(
    ("videos", "per_minute", "budget", "days"),
    [
        (10_000, 60, 10_000, 1),
        (20_001, 60, 10_000, 3),
        (20_000, 6, 10_000, 1),  # 8,640 a day: the budget is never used up
        (0, 60, 10, 1),
    ],
)
def test_a_backfill_is_begun_once_where_its_rate_keeps_it_within_the_budget(
    settings: Settings, videos: int, per_minute: int, budget: int, days: int
):
    planned = planning.Plan(target=planning.target(settings, SHOTS), videos=videos, hours=None, bytes=None)
    assert planning.days(planned, per_minute, budget) == days


def test_what_was_found_in_the_store_says_nothing_of_how_long_embedding_takes(settings: Settings):
    [video_id] = published(settings, Recipes(settings), 1)
    made = [
        Embedded(
            fingerprint=name,
            encoder=SPEC,
            vectors=StoredFile(key="vectors.npy", size_bytes=1, etag="e"),
            took_s=took_s,
        )
        for name, took_s in (("made", 30.0), ("found", 4_000.0))
    ]
    with transaction(settings.database) as session:
        space_id = spaces.register(session, SPEC).id
        ticket = attempts.beside(session, video_id)
        ledger.finish(session, ledger.start(session, ticket, Stage.EMBED, "made", None))
        ledger.reuse(session, ticket, Stage.EMBED, "found", None)
        note_times(session, ticket, made)
        assert stage_statistic.embedding_s(session, space_id) == 30


def test_a_new_space_is_estimated_before_it_has_rows(settings: Settings):
    published(settings, Recipes(settings), 2)
    with transaction(settings.database) as session:
        space_id = spaces.register(session, SPEC).id
    embedded(settings, space_id, 30)
    planned = planning.plan(settings, planning.Selection(stage=Stage.EMBED, space="tiny"), AT_ONCE)
    assert (planned.videos, planned.hours) == (2, round(2 * (30 + planning.RUN_S) / 3600, 2))


def test_the_configured_space_is_known_by_its_encoder_whatever_the_settings_call_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = save_clip(tmp_path / "mine", dim=16)
    monkeypatch.setenv("DAILIES_ENCODER__NAME", str(folder))
    get_settings.cache_clear()
    ours = get_settings()
    with transaction(ours.database) as session:
        spaces.register(session, spec_for(ours.encoder).model_copy(update={"revision": "older"}))
    aim = planning.target(ours, planning.Selection(stage=Stage.EMBED))
    with transaction(ours.database) as session:
        found = spaces.find_space(session, spec_for(ours.encoder))
        assert found is not None
        assert aim.space == str(found.id)
