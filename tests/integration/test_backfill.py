"""How a backfill works through its videos: what it asks for, when it ends, and by what the configured space is known."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from core.fingerprint import Recipes
from core.settings import Settings, get_settings
from core.stages import Stage
from dispatch import backfill
from encoders.catalog import spec_for
from models import Video, VideoStatus, recipes, spaces
from models.recipes import Candidate
from models.session import transaction
from tests.tiny_checkpoints import save_clip

SHOTS = backfill.Selection(stage=Stage.SHOTS)
#: Videos a minute; more than any test has.
AT_ONCE = 1_000_000


class Workflow:
    """Stands for Prefect: a run does its video when it is asked for, and ends when it is told to."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.asked: list[UUID] = []
        self.ends: Callable[[int], bool] = lambda _look: True
        self.looks = 0

    def ask(self, settings: Settings, _aim: backfill.Target, candidate: Candidate) -> backfill.Asked:
        self.asked.append(candidate.video_id)
        with transaction(settings.database) as session:
            recipes.record(session, candidate.video_id, recipes.columns(session, Recipes(settings)))
        return backfill.Asked(candidate=candidate, run_id=uuid4())

    def still_going(self, run_ids: list[UUID]) -> set[UUID]:
        self.looks += 1
        return set() if self.ends(self.looks) else set(run_ids)

    def asked_since(self, _begin: dt.datetime) -> int:
        return len(self.asked)


@pytest.fixture
def workflow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    found = Workflow(settings)
    for name in ("ask", "still_going", "asked_since"):
        monkeypatch.setattr(backfill, name, getattr(found, name))
    monkeypatch.setattr(backfill, "POLL_S", 0.01)
    return found


def stale_videos(settings: Settings, number: int) -> list[UUID]:
    """Publish videos whose shots were found by an older recipe."""
    older = Recipes(settings.model_copy(update={"shots": settings.shots.model_copy(update={"min_scene_s": 9.0})}))
    ids = [uuid4() for _ in range(number)]
    now = dt.datetime.now(dt.UTC)
    with transaction(settings.database) as session:
        for video_id in ids:
            facts = {"status": VideoStatus.INDEXED, "indexed_at": now}
            session.add(Video(id=video_id, owner_id=settings.owner_id, title="a", **facts))
        session.flush()
        for video_id in ids:
            recipes.record(session, video_id, recipes.columns(session, older))
    return ids


def work(settings: Settings, budget: int = 1_000) -> list[backfill.Step]:
    planned = backfill.plan(settings, SHOTS)
    return list(backfill.work_through(settings, SHOTS, planned, AT_ONCE, budget))


def test_every_stale_video_is_asked_for_once(settings: Settings, workflow: Workflow):
    stale = stale_videos(settings, 3)
    last = work(settings)[-1]
    assert sorted(workflow.asked) == sorted(stale)
    assert (last.done, last.failed, last.going, last.note) == (3, 0, 0, "")
    assert work(settings)[-1].done == 0, "nothing is left to do"


def test_runs_that_all_end_at_the_same_time_do_not_end_the_backfill(settings: Settings, workflow: Workflow):
    most_going = settings.workflow.backfills_at_once + backfill.WAITING
    stale = stale_videos(settings, most_going + 2)
    workflow.ends = lambda look: look > 1  # until then there is no room for more
    last = work(settings)[-1]
    assert sorted(workflow.asked) == sorted(stale)
    assert (last.done, last.going) == (most_going + 2, 0)


def test_the_budget_of_a_day_ends_it_and_another_backfill_spends_of_it_too(settings: Settings, workflow: Workflow):
    stale_videos(settings, 4)
    steps = backfill.work_through(settings, SHOTS, backfill.plan(settings, SHOTS), AT_ONCE, 3)
    next(steps)
    workflow.asked.append(uuid4())  # somebody else's
    last = list(steps)[-1]
    assert "budget of 3" in last.note
    assert len(workflow.asked) <= 4, "what was already taken for this round is the most that it goes beyond"
    assert work(settings)[-1].done == 4 - last.done


def test_the_configured_space_is_known_by_its_encoder_whatever_the_settings_call_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = save_clip(tmp_path / "mine", dim=16)
    monkeypatch.setenv("DAILIES_ENCODER__NAME", str(folder))
    get_settings.cache_clear()
    ours = get_settings()
    with transaction(ours.database) as session:
        older = spec_for(ours.encoder).model_copy(update={"revision": "older"})
        spaces.register(session, older)
    planned = backfill.plan(ours, backfill.Selection(stage=Stage.EMBED))
    with transaction(ours.database) as session:
        found = spaces.find_space(session, spec_for(ours.encoder))
        assert found is not None
        assert planned.target.space == str(found.id)
