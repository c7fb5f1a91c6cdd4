"""Real stores for tests: one Postgres and one object store a session, one migrated database a test."""

import os
import pkgutil
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from core.fingerprint import Recipes
from core.settings import DatabaseSettings, Settings, StorageSettings, get_settings
from deployments.embedded.postgres import embedded_postgres
from deployments.embedded.store import Access, embedded_store
from models.migrate import upgrade
from models.session import engine_for, transaction
from storage.client import ObjectStore, object_store
from tests.integration.prefect_server import bare_server

TEMPLATE = "dailies"
#: A file system in memory, where there is one: a database for each test is three hundred files to copy.
MEMORY = Path("/dev/shm")
#: Bytes that the session's Postgres may need; in a container it is often smaller.
ROOM = 2 * 2**30
EVENT_TOKEN = "a-token-of-one-word"


def in_memory() -> Path | None:
    """Give a folder in memory; None, which is the usual one, where there is none with room."""
    return MEMORY if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM else None


@pytest.fixture(scope="session")
def _postgres() -> Iterator[str]:
    """URL of a throw-away server's template database, migrated once."""
    with (
        tempfile.TemporaryDirectory(prefix="dailies-test-", dir=in_memory()) as folder,
        embedded_postgres(Path(folder) / "postgres", durable=False) as url,
    ):
        engine = create_engine(url)
        upgrade(engine)
        engine.dispose()  # a template must have no sessions
        yield url


@pytest.fixture(scope="session")
def _store() -> Iterator[Access]:
    with (
        tempfile.TemporaryDirectory(prefix="dailies-test-") as folder,
        embedded_store(Path(folder) / "store") as access,
    ):
        yield access


@pytest.fixture(scope="session")
def prefect_folder() -> Iterator[Path]:
    """Folder of the session's Prefect server, with its database."""
    with tempfile.TemporaryDirectory(prefix="dailies-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def prefect_api(prefect_folder: Path) -> Iterator[str]:
    """Address of a real Prefect server without a worker, for tests that bring their own runs."""
    with bare_server(prefect_folder) as api:
        yield api


@pytest.fixture
def database(_postgres: str) -> Iterator[DatabaseSettings]:
    """A migrated database of this test's own, empty."""
    name = f"test_{uuid4().hex}"
    admin = create_engine(make_url(_postgres).set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy"))
    url = make_url(_postgres).set(database=name).render_as_string(hide_password=False)
    settings = DatabaseSettings(url=url)
    yield settings
    engine_for(settings).dispose()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def storage(_store: Access) -> StorageSettings:
    """How to reach the session's object store."""
    return StorageSettings(
        endpoint=_store.endpoint, access_key=_store.access_key, secret_key=_store.secret_key, secure=False
    )


@pytest.fixture
def store(storage: StorageSettings) -> Iterator[ObjectStore]:
    """A client of the object store; its buckets are emptied after the test."""
    client = object_store(storage)
    yield client
    for bucket in (storage.uploads_bucket, storage.derived_bucket):
        for found in list(client.list(bucket)):
            client.delete(bucket, found.key)


@pytest.fixture
def settings(
    database: DatabaseSettings, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings of both stores, also as every process would read them from the environment."""
    environment = {
        "DAILIES_DATA": str(tmp_path / "data"),
        "DAILIES_DATABASE__URL": database.url.get_secret_value(),
        "DAILIES_STORAGE__ENDPOINT": store.settings.endpoint,
        "DAILIES_STORAGE__ACCESS_KEY": store.settings.access_key,
        "DAILIES_STORAGE__SECRET_KEY": store.settings.secret_key.get_secret_value(),
        "DAILIES_STORAGE__SECURE": "false",
        "DAILIES_EVENTS__TOKEN": EVENT_TOKEN,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    found = get_settings()
    yield found
    engine_for(found.database).dispose()
    get_settings.cache_clear()


@pytest.fixture
def idle_during(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[int]]:
    """Give what notes how many transactions idle, each time that a function, by its dotted name, is called.

    Postgres ends a session that idles in one for ten minutes, and a large bucket, or a slow Prefect, takes longer.
    """
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND datname = current_database()")

    def watch(name: str) -> list[int]:
        found: list[int] = []
        watched = pkgutil.resolve_name(name)

        def look(*args: object) -> object:
            with transaction(settings.database) as session:
                found.append(session.scalar(waiting) or 0)
            return watched(*args)

        monkeypatch.setattr(name, look)
        return found

    return watch


@pytest.fixture
def older(settings: Settings) -> Recipes:
    """How shots were found before."""
    return Recipes(settings.model_copy(update={"shots": settings.shots.model_copy(update={"min_scene_s": 9.0})}))
