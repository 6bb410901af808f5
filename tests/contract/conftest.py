"""A database of each kind with our tables in it, empty for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pacifica.notifications import orm
from pacifica.notifications.config import Database, Settings
from pacifica.notifications.orm.sync import TABLES


def use_database(url: str) -> None:
    """Let the process use a database; it may have as many connections as a test has threads."""
    orm.initialize(Settings(database=Database(peewee_url=url, max_connections=40)))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def tables(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The url of a database with our tables, which the process uses; once for each kind."""
    if request.param == "sqlite":
        folder = tmp_path_factory.mktemp("database")
        url = f"sqlite:///{(folder / 'test.sqlite3').as_posix()}"
    else:
        server = request.getfixturevalue("postgresql_server")
        url = server.create_database()
    use_database(url)
    orm.OrmSync.update_tables()
    yield url
    orm.disconnect()
    if request.param == "postgresql":
        server.drop_database(url)


@pytest.fixture
def database(tables: str) -> Iterator[str]:
    """The same, without a row; the test holds a connection."""
    with orm.session():
        yield tables
    with orm.session(), orm.transaction():
        for model in reversed(TABLES):
            if model not in (orm.NotificationSystem, orm.SubscriptionRevision):
                model.delete().execute()
        orm.SubscriptionRevision.update(value=0).execute()
