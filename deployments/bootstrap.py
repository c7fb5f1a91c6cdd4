"""Make everything a stack needs before its first video; run it again after every upgrade, it changes only what differs."""

import os
import sys
from collections.abc import Callable

from core.errors import DailiesError
from core.settings import Settings, get_settings
from deployments.workflow import bootstrap_workflow
from models import migrate
from models.session import database_errors, engine_for
from storage.client import object_store


def bootstrap_stores(settings: Settings) -> None:
    """Migrate the database, make the buckets and subscribe our webhook to the uploads.

    Raises:
        DatabaseUnavailable, StorageUnavailable: transient.
    """
    with database_errors():
        migrate.upgrade(engine_for(settings.database))
    store = object_store(settings.storage)
    for bucket in (settings.storage.uploads_bucket, settings.storage.derived_bucket):
        store.ensure_bucket(bucket)
    if target := settings.events.target:
        store.announce_uploads(target)


def main() -> None:
    """Run every step and say how each one ended; the exit status is 1 when one failed."""
    settings = get_settings()
    steps: list[tuple[str, Callable[[Settings], object]]] = [
        ("database and buckets", bootstrap_stores),
        ("work pool, queues, deployments", bootstrap_workflow),
    ]
    for name, step in steps:
        try:
            step(settings)
        except DailiesError as error:
            sys.exit(f"bootstrap: {name}: {error}")
        print(f"bootstrap: {name}: ready", flush=True)  # noqa: T201 - this is a command


if __name__ == "__main__":
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
    main()
