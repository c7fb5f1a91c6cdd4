"""What the database answers becomes one of our errors."""

import pytest
from sqlalchemy import text

from core.errors import DatabaseUnavailable
from core.settings import DatabaseSettings
from models.session import transaction


def test_a_standby_that_takes_no_writes_yet_is_waited_for(database: DatabaseSettings):
    with pytest.raises(DatabaseUnavailable, match="takes no writes"), transaction(database) as session:
        session.execute(text("SET TRANSACTION READ ONLY; INSERT INTO counter (name, value) VALUES ('a', 1)"))
