"""Databases of every kind that the service runs on, and what differs between them for whoever looks in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from playhouse.db_url import connect

from pacifica.notifications import orm
from pacifica.notifications.config import Database, Settings
from pacifica.notifications.orm.sync import TABLES

from .doors import forget

#: A test that is given a kind runs once on each; `-k mariadb` picks one.
KINDS = ("sqlite", "postgresql", "mariadb")


@contextmanager
def empty_database(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """Give the url of a database without tables: a file that is not there yet, or one on the shared server."""
    if kind == "sqlite":
        yield f"sqlite:///{(folder / 'test.sqlite3').as_posix()}"
        return
    server = request.getfixturevalue(f"{kind}_server")
    url = server.create_database()
    yield url
    server.drop_database(url)


def make_tables(url: str) -> None:
    """Make our tables as `dbsync` does; the process must not be using another database."""
    orm.initialize(Settings(database=Database(peewee_url=url)))
    orm.OrmSync.update_tables()
    forget()


def empty(url: str) -> None:
    """Delete every row of a database with our tables but those that `dbsync` makes."""
    database = connect(url)
    with database.connection_context(), database.atomic():
        for name in reversed([model._meta.table_name for model in TABLES]):
            if name == "subscriptionrevision":
                database.execute_sql("UPDATE subscriptionrevision SET value = 0")
            elif name != "notificationsystem":
                database.execute_sql(f"DELETE FROM {name}")


def held(url: str, uuid: UUID | str) -> str:
    """Return a uuid as a database holds it, to compare with."""
    return str(uuid) if url.startswith("postgresql") else UUID(str(uuid)).hex


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Let nobody else write to the table of events for the block."""
    database = connect(url)
    begin, end = {
        "sqlite": (["BEGIN IMMEDIATE"], "ROLLBACK"),
        "postgresql": (["BEGIN", "LOCK TABLE eventlog"], "ROLLBACK"),
        "mysql": (["LOCK TABLES eventlog WRITE"], "UNLOCK TABLES"),
    }[url.partition(":")[0]]
    with database.connection_context():
        for statement in begin:
            database.execute_sql(statement)
        yield
        database.execute_sql(end)
