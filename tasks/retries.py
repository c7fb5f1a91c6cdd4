"""When a task is tried again: only what may succeed later, ever more slowly, and how often for each stage."""

from dataclasses import dataclass
from typing import Any, Final

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from core.errors import TransientError
from core.stages import Stage


@dataclass(frozen=True)
class RetryPolicy:
    """Tries after the first one, and the seconds before the first of them; each wait doubles."""

    retries: int
    first_delay_s: int

    @property
    def delays_s(self) -> list[float]:
        """Waits before each retry, before jitter."""
        return [float(self.first_delay_s * 2**n) for n in range(self.retries)]


#: Up to half of each wait is added or taken away by chance, so that runs that failed together come back apart.
JITTER: Final = 0.5

# Constants, not settings: they are read when the decorator runs, so an environment variable would lie.
#: Stages that talk to stores: patient enough (2+4+8+16+32 s) for one of them to be restarted.
STORES: Final = RetryPolicy(retries=5, first_delay_s=2)
POLICY: Final[dict[Stage, RetryPolicy]] = {
    Stage.VALIDATE: STORES,
    Stage.TRANSCODE: RetryPolicy(retries=4, first_delay_s=4),  # a killed ffmpeg: the machine may need to recover memory
    Stage.SHOTS: STORES,
    Stage.STILLS: STORES,
    Stage.EMBED: RetryPolicy(retries=4, first_delay_s=4),
    Stage.PUBLISH: STORES,
}


def is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Say whether a failure may be retried; a plain function, because Prefect ignores anything else."""
    return isinstance(state.data, TransientError)
