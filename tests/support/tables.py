"""A look into the tables from outside, with a connection of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playhouse.db_url import connect


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Return what a statement gives."""
    database = connect(url)
    try:
        with database.connection_context():
            return list(database.execute_sql(statement).fetchall())
    finally:
        database.close()


def execute(url: str, statement: str) -> None:
    """Write into the tables behind the service's back."""
    database = connect(url)
    try:
        with database.connection_context(), database.atomic():
            database.execute_sql(statement)
    finally:
        database.close()


def one(url: str, statement: str) -> Any:
    """Return the only value that a statement gives."""
    ((value,),) = rows(url, statement)
    return value


def states(url: str) -> dict[str, int]:
    """Return how many deliveries there are in each state."""
    return dict(rows(url, "SELECT state, COUNT(*) FROM eventlogmatch GROUP BY state"))


def unrouted(url: str) -> int:
    """Return how many events are not routed yet."""
    return int(one(url, "SELECT COUNT(*) FROM eventlog WHERE route_at IS NOT NULL"))


def embedded_url(folder: Path) -> str:
    """Return the url of the database that the service makes by itself in the home of a folder."""
    return f"sqlite:///{folder / 'home' / '.pacifica-notifications' / 'notifications.sqlite3'}"
