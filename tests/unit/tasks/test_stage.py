"""An error says which stage it ended, also on the way to it: coverage and `dailies failures` count it there."""

from uuid import UUID

import pytest

from core.errors import MissingDependency
from core.stages import Stage
from core.values import Ticket
from tasks.spaces import open_spaces
from tasks.stage import STAGE_NOTE


def test_what_keeps_a_video_from_being_embedded_counts_as_embed(monkeypatch: pytest.MonkeyPatch, tmp_path):
    monkeypatch.setenv("DAILIES_ENCODER__NAME", str(tmp_path / "gone"))
    ticket = Ticket.model_construct(video_id=UUID(int=1))
    with pytest.raises(MissingDependency) as caught:
        open_spaces.fn(ticket)
    assert f"{STAGE_NOTE}{Stage.EMBED}" in caught.value.__notes__
