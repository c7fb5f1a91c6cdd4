"""What docker-compose.yml says of each container, translated for one machine: names become loopback addresses."""

import json
import random
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from tests.rehearsal.errors import RehearsalFailed

ROOT = Path(__file__).parents[2]
#: Addresses that mean "this container" inside one.
OWN = re.compile(r"\b(?:127\.0\.0\.1|0\.0\.0\.0|localhost)\b")
SECONDS = re.compile(r"(?:(\d+)m)?(?:(\d+)s)?")


@dataclass(frozen=True)
class HealthCheck:
    """How Docker asks a container how it is."""

    command: tuple[str, ...]
    every_s: float
    timeout_s: float
    retries: int


@dataclass(frozen=True)
class Container:
    """One service of the file."""

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    #: Name of a service this one waits for, and until when.
    depends_on: Mapping[str, str]
    restart: str
    health: HealthCheck | None

    @property
    def is_ours(self) -> bool:
        return self.image.startswith("dailies:")


def read(file: Path, env_file: Path, *, profiles: tuple[str, ...] = ()) -> dict[str, Container]:
    """Ask docker-compose itself what the file says, secrets filled in."""
    compose = shutil.which("docker-compose") or "docker-compose"
    argv = [compose, "--env-file", str(env_file), "--file", str(file), "config"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RehearsalFailed(f"docker-compose refuses {file.name}: {done.stderr.strip()}")
    services: dict[str, dict[str, Any]] = yaml.safe_load(done.stdout)["services"]
    return {
        name: _container(name, service)
        for name, service in services.items()
        if not service.get("profiles") or set(service["profiles"]) & set(profiles)
    }


def _container(name: str, service: dict[str, Any]) -> Container:
    # A dollar sign is doubled in what docker-compose prints, so that it could be read again.
    environment = {key: str(value).replace("$$", "$") for key, value in service["environment"].items()}
    return Container(
        name=name,
        image=service["image"],
        command=tuple(str(word) for word in service["command"]),
        environment=environment,
        depends_on={other: how["condition"] for other, how in service.get("depends_on", {}).items()},
        restart=service["restart"],
        health=_health(service["healthcheck"]) if "healthcheck" in service else None,
    )


def _health(check: dict[str, Any]) -> HealthCheck:
    kind, *command = check["test"]
    if kind != "CMD":
        raise RehearsalFailed(f"a health check must be a list of words, without a shell: {check['test']}")
    return HealthCheck(tuple(command), _seconds(check["interval"]), _seconds(check["timeout"]), int(check["retries"]))


def _seconds(text: str) -> float:
    minutes, seconds = SECONDS.fullmatch(text).groups(default="0")  # type: ignore[union-attr]
    return 60 * int(minutes) + int(seconds)


@dataclass(frozen=True)
class Network:
    """Gives every container a loopback address of its own, so that two may listen on one port number."""

    addresses: Mapping[str, str]
    #: host:port of services that listen elsewhere than their containers would.
    elsewhere: Mapping[str, str]

    @classmethod
    def of(cls, names: list[str], elsewhere: Mapping[str, str]) -> "Network":
        # A subnet at random: two rehearsals on one machine do not meet.
        subnet = f"127.{random.randint(20, 250)}.{random.randint(1, 250)}"
        return cls({name: f"{subnet}.{number}" for number, name in enumerate(names, 2)}, elsewhere)

    def placed(self, container: Container, folder: Path) -> Container:
        """Translate a container's words: addresses for names, this tree for /app, folders of its own for the others.

        Raises:
            RehearsalFailed: a file of /app is not in the tree.
        """

        def translate(text: str) -> str:
            for place, real in self.elsewhere.items():
                text = re.sub(rf"(?<![\w.-]){re.escape(place)}(?!\d)", real, text)
            for name, address in self.addresses.items():
                text = re.sub(rf"(?<=[@/]){re.escape(name)}(?=:\d)|^{re.escape(name)}(?=:\d+$)", address, text)
            if text.startswith("/app/"):
                return _in_tree(container.name, text)
            return re.sub(r"^/(?=(scratch|tmp|models)\b)", f"{folder}/", text)

        def own(text: str) -> str:
            return OWN.sub(self.addresses[container.name], text)

        environment = {}
        for key, value in container.environment.items():
            # What a browser outside reaches is published; here the address of whoever publishes it.
            text = self._published(key, translate(value)) or translate(value)
            environment[key] = self.addresses.get(text, text)
            if key.endswith("HOST"):
                environment[key] = own(environment[key])
        health = container.health
        if health:
            health = replace(health, command=tuple(own(translate(word)) for word in health.command))
        return replace(
            container,
            environment=environment,
            command=tuple(own(translate(w)) for w in container.command),
            health=health,
        )

    def _published(self, key: str, value: str) -> str | None:
        owner = {"DAILIES_SERVICE__URL": "service", "DAILIES_WORKFLOW__UI_URL": "prefect"}.get(key)
        if owner:
            return OWN.sub(self.addresses[owner], value)
        if key == "DAILIES_STORAGE__PUBLIC_ENDPOINT":
            return self.elsewhere["store:9000"]
        return None


def _in_tree(name: str, text: str) -> str:
    path = ROOT / text.removeprefix("/app/")
    if not path.exists():
        raise RehearsalFailed(f"{name}: {text} is not in the image")
    return str(path)


def mutated(file: Path, target: Path, old: str, new: str) -> Path:
    """Write a copy of the file in which one thing is broken on purpose."""
    text = file.read_text()
    if old not in text:
        raise RehearsalFailed(f"{json.dumps(old)} is not in {file.name}: mend the mutation")
    target.write_text(text.replace(old, new))
    return target
