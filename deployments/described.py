"""What prefect.yaml describes, read strictly: a key that nobody knows is an error, where Prefect would ignore it."""

from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field

PREFECT_YAML: Final = Path(__file__).parents[1] / "prefect.yaml"


class _Described(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PoolReference(_Described):
    """Where a deployment's runs go."""

    name: str
    work_queue_name: str
    job_variables: dict[str, Any] = Field(default_factory=dict)


class Schedule(_Described):
    """When a deployment runs by itself."""

    #: Seconds from one run to the next.
    interval: int | None = None
    cron: str | None = None
    timezone: str = "UTC"
    slug: str
    active: bool = True
    #: Laid over the deployment's own, whose defaults are made for a person at the form.
    parameters: dict[str, Any] = Field(default_factory=dict)


class Deployment(_Described):
    """One entry of prefect.yaml."""

    name: str
    version: str
    description: str
    entrypoint: str
    tags: list[str]
    work_pool: PoolReference
    parameters: dict[str, Any] = Field(default_factory=dict)
    schedules: list[Schedule] = Field(default_factory=list)


def deployments(path: Path = PREFECT_YAML) -> list[Deployment]:
    """Read the deployments that prefect.yaml defines."""
    return [Deployment.model_validate(entry) for entry in yaml.safe_load(path.read_text())["deployments"]]
