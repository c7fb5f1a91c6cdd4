"""The tables that code defines and the tables that migrations make are the same."""

from alembic import command
from sqlalchemy import create_engine

from core.settings import DatabaseSettings
from models import migrate
from models.session import engine_for


def test_migrations_make_exactly_the_tables_that_models_define(database: DatabaseSettings):
    with engine_for(database).connect() as connection:
        command.check(migrate.config(connection))


def test_upgrading_twice_changes_nothing(database: DatabaseSettings):
    migrate.upgrade(engine_for(database))


def test_every_migration_can_be_taken_back_and_made_again(database: DatabaseSettings):
    engine = create_engine(database.url.get_secret_value())
    with engine.connect() as connection:
        command.downgrade(migrate.config(connection), "base")
        connection.commit()
        command.upgrade(migrate.config(connection), "head")
        connection.commit()
        command.check(migrate.config(connection))
    engine.dispose()
