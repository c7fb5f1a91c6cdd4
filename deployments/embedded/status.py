"""How a stack is, without its secrets: for people and scripts."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from deployments.embedded.layout import Layout
from deployments.embedded.state import PartState, PartStatus, Phase, StackState


class StackStatus(BaseModel):
    """How one stack is; its JSON is the answer of `dailies status --json`."""

    model_config = ConfigDict(frozen=True)

    data: Path
    #: Which Dailies its parts run; None before the first start.
    version: str | None
    phase: Phase
    is_up: bool
    #: Process id of the supervisor.
    supervisor: int | None
    failure: str | None
    #: Base URL of the HTTP service; None before the first start.
    service_url: str | None
    #: Address of Prefect's UI; None before the first start.
    prefect_url: str | None
    parts: tuple[PartStatus, ...]

    @classmethod
    def of(cls, layout: Layout, state: StackState) -> Self:
        """Leave out what must not be shown."""
        settled = all(part.state in {PartState.UP, PartState.DONE} for part in state.parts)
        urls = {part.name: part.url for part in state.parts}
        return cls(
            data=layout.data,
            version=state.release,
            phase=state.phase,
            is_up=state.phase is Phase.UP and settled,
            supervisor=state.supervisor,
            failure=state.failure,
            service_url=urls.get("service"),
            prefect_url=urls.get("prefect"),
            parts=state.parts,
        )
