"""A service that serves many tests, and a look at it from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playhouse.db_url import connect

from .processes import Service


class Watched(Service):
    """`pacifica-notifications` with its embedded worker, on a database that the test reads too; outlives a test."""

    def __init__(
        self, folder: Path, database_url: str, settings: Mapping[str, object] | None = None, **options: Any
    ) -> None:
        self.database_url = database_url
        super().__init__(folder, {"database.peewee_url": database_url, **(settings or {})}, **options)
        self.kept = True
        self._forgotten = 0
        self._database = connect(database_url)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return what a statement gives, over a connection that stays open."""
        return list(self._database.execute_sql(statement).fetchall())

    def execute(self, statement: str) -> None:
        """Write into the tables behind the service's back."""
        with self._database.atomic():
            self._database.execute_sql(statement)

    def forget(self) -> None:
        """Complain no more of what the log has so far, because a test wanted it."""
        self._forgotten = len(self.log)

    def close(self) -> None:
        """Leave nothing running, and no connection open."""
        self._database.close()
        super().close()

    def stored(self) -> dict[str, int]:
        """Return how many subscriptions, deleted ones too, events and deliveries there are."""
        names = ("eventmatch", "eventlog", "eventlogmatch")
        (counts,) = self.rows(f"SELECT {', '.join(f'(SELECT COUNT(*) FROM {name})' for name in names)}")
        return dict(zip(names, counts, strict=True))

    def complaint(self) -> str:
        """Say what is wrong with the service, nothing if it is well."""
        ready = self.get("/health/ready")
        if ready.status_code != 200:
            return f"/health/ready answers {ready.status_code}: {ready.text}"
        failed = [line for line in self.log[self._forgotten :].splitlines() if "Traceback" in line or " ERROR " in line]
        return f"its log has: {failed}" if failed else ""


@contextmanager
def ending_well(service: Watched) -> Iterator[Watched]:
    """Start a service and end it, as a service manager does."""
    with service:
        yield service
        assert service.complaint() == ""
        assert service.terminate() == 0
