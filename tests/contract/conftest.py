"""A database of each kind with our tables in it, empty for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pacifica.notifications import orm
from pacifica.notifications.config import Database, Secrets, Settings
from pacifica.notifications.orm.sync import TABLES
from pacifica.notifications.sealing import read_key
from tests.support.databases import empty_database
from tests.support.keys import KEY


def use_database(url: str) -> None:
    """Let the process use a database; it may have as many connections as a test has threads."""
    orm.initialize(Settings(database=Database(peewee_url=url, max_connections=40), secrets=Secrets((read_key(KEY),))))


@pytest.fixture(scope="module")
def tables(
    database_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The url of a database with our tables, which the process uses; once for each kind."""
    with empty_database(database_kind, request, tmp_path_factory.mktemp("database")) as url:
        use_database(url)
        orm.OrmSync.update_tables()
        yield url
        orm.disconnect()


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
