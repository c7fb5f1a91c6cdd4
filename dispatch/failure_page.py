"""What a failed run's page in the Prefect UI says: what failed, and what Retry will reuse and do again."""

import logging
from typing import Final
from uuid import UUID

from prefect.client.schemas.actions import ArtifactCreate

from core.errors import DailiesError
from core.markdown import escaped
from core.settings import Settings
from core.stages import Stage
from dispatch.runs import prefect_client
from models import reading
from models.session import transaction
from models.states import StageState
from models.summary import summarise

logger = logging.getLogger(__name__)

#: A result in the store; publish has none, it is done by every attempt.
_KEPT: Final = (StageState.DONE, StageState.REUSED)


def show_failure(
    settings: Settings, video_id: UUID, run_id: UUID, *, stage: str | None, error_class: str, message: str
) -> None:
    """Put an artifact on a failed run's page; what keeps it from being shown is only logged."""
    try:
        with transaction(settings.database) as session:
            video = reading.video_with_parts(session, video_id)
            if video is None:
                return
            title, group, runs = video.title, video.error_fingerprint, list(video.stage_runs)
        states = {summary.stage: summary.state for summary in summarise(runs)}
        text = page(video_id, title, stage, error_class, message, group, states)
        with prefect_client() as client:
            client.create_artifact(
                ArtifactCreate(
                    key=f"failure-{video_id}",
                    type="markdown",
                    description="What failed, and what Retry does",
                    data=text,
                    flow_run_id=run_id,
                )
            )
    except DailiesError as error:
        logger.warning("the page of run %s does not say why it failed: %s", run_id, error)


def page(
    video_id: UUID,
    title: str,
    stage: str | None,
    error_class: str,
    message: str,
    group: str | None,
    states: dict[Stage, StageState],
) -> str:
    """Write the page in Markdown; the message's further lines are the last ones of a program's stderr."""
    at_work = next((name for name, state in states.items() if state is StageState.RUNNING), None)
    sentence, _, lines = message.strip().partition("\n")
    kept = [name for name in Stage if name is not Stage.PUBLISH and states.get(name) in _KEPT]
    again = [name for name in Stage if name not in kept]
    parts = [
        f"# {escaped(title)}",
        f"**Failed in {stage or at_work or 'no stage'}: `{error_class}`**",
        escaped(sentence),
        *([f"```text\n{lines.rstrip()}\n```"] if lines.strip() else []),
        f"**Retry** on this page, or `dailies rerun {str(video_id)[:8]}`, resumes it:",
        f"- reused: {', '.join(kept) or 'nothing is finished yet'}\n- done again: {', '.join(again)}",
    ]
    if group:
        parts.append(f"Videos that failed alike: `dailies failures`; all of them: `dailies rerun --error {group}`.")
    return "\n\n".join(parts) + "\n"
