"""The doors of the service on a new database for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playhouse.db_url import connect

from pacifica.notifications.__main__ import cmd
from tests.support.doors import Doors, forget
from tests.support.processes import Result
from tests.support.servers import PostgreSQL

#: `open_doors({"section.key": value})` gives the doors of a service with these settings.
OpenDoors = Callable[[Mapping[str, object]], Doors]


@contextmanager
def opening(folder: Path, url: str) -> Iterator[OpenDoors]:
    """Open doors on a database when they are asked for, and close them at the end."""
    with ExitStack() as stack:
        yield lambda settings: stack.enter_context(Doors(folder, url, settings))


@pytest.fixture(scope="session")
def shared_database(postgresql_server: PostgreSQL) -> Iterator[str]:
    """A PostgreSQL database that many tests use one after the other, because making one takes long."""
    url = postgresql_server.create_database()
    yield url
    postgresql_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """The url of a database without tables, once for each kind."""
    if request.param == "sqlite":
        sqlite: str = request.getfixturevalue("sqlite_url")
        return sqlite
    url: str = request.getfixturevalue("shared_database")
    with connect(url) as database:
        database.execute_sql("DROP SCHEMA public CASCADE")
        database.execute_sql("CREATE SCHEMA public")
    return url


@pytest.fixture
def open_doors(tmp_path: Path, sqlite_url: str) -> Iterator[OpenDoors]:
    """Doors with settings of the test's own, on SQLite."""
    with opening(tmp_path, sqlite_url) as opened:
        yield opened


@pytest.fixture
def open_doors_each(tmp_path: Path, empty_url: str) -> Iterator[OpenDoors]:
    """Doors with settings of the test's own, once on each kind of database."""
    with opening(tmp_path, empty_url) as opened:
        yield opened


@pytest.fixture
def doors(open_doors: OpenDoors) -> Doors:
    """Doors with nothing set, on SQLite."""
    return open_doors({})


@pytest.fixture
def doors_each(open_doors_each: OpenDoors) -> Doors:
    """Doors with nothing set, once on each kind of database."""
    return open_doors_each({})


#: `run(file, "eventget", "--json")` runs a command with a settings file.
Run = Callable[..., Result]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a command of `pacifica-notifications-cmd` in the process of the test; 0 is true, -1 false."""

    def command(file: Path, *args: object) -> Result:
        capfd.readouterr()
        status = cmd("-c", str(file), *map(str, args))
        return Result(status, *capfd.readouterr())

    yield command
    forget()
