"""The doors of the service on a database of each kind, empty for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pacifica.notifications.__main__ import cmd
from tests.support.databases import empty, empty_database, make_tables
from tests.support.doors import Doors, forget
from tests.support.processes import Result
from tests.support.watched import Watched, ending_well

#: `open_doors({"section.key": value})` gives the doors of a service with these settings.
OpenDoors = Callable[[Mapping[str, object]], Doors]
#: `start({"section.key": value}, args=[...])` gives a started service.
Start = Callable[..., Watched]


@pytest.fixture(scope="module")
def shared_url(
    database_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A database with our tables for all tests of a module, because making tables takes long."""
    with empty_database(database_kind, request, tmp_path_factory.mktemp("database")) as url:
        make_tables(url)
        yield url


@pytest.fixture
def url(shared_url: str) -> str:
    """The url of a database whose tables have no rows."""
    empty(shared_url)
    return shared_url


@pytest.fixture
def empty_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The url of a database without tables."""
    with empty_database(database_kind, request, tmp_path) as found:
        yield found


@pytest.fixture
def open_doors(tmp_path: Path, url: str) -> Iterator[OpenDoors]:
    """Doors with settings of the test's own."""
    with ExitStack() as stack:
        yield lambda settings: stack.enter_context(Doors(tmp_path, url, settings))


@pytest.fixture
def doors(open_doors: OpenDoors) -> Doors:
    """Doors with nothing set."""
    return open_doors({})


@pytest.fixture(scope="module")
def start(
    database_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Start]:
    """Start services for a module; at its end each must be well, with no traceback in its log, and end cleanly."""
    with ExitStack() as stack:

        def started(settings: Mapping[str, object] | None = None, *, url_options: str = "", **options: Any) -> Watched:
            folder = tmp_path_factory.mktemp("service")
            url = stack.enter_context(empty_database(database_kind, request, folder))
            make_tables(url)
            used = f"{url}?{url_options}" if url_options else url
            return stack.enter_context(ending_well(Watched(folder, used, settings, **options)))

        yield started


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
