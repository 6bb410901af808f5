"""Fixtures: private servers and what is made new on them for each test."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from .support.databases import KINDS, empty_database
from .support.environments import require_index
from .support.missing import missing
from .support.policy import PolicyServer
from .support.process import left_running
from .support.servers import MariaDB, PostgreSQL, RabbitMQ, Redis, Server
from .support.target import RecordingTarget

S = TypeVar("S", bound=Server)


def pytest_sessionstart() -> None:
    """Let SIGTERM end the run as Ctrl-C does, so that its servers end with it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def serving(kind: Callable[..., S], *, kept: bool) -> Iterator[S]:
    """Give a started server and close it at the end."""
    server = kind(kept=kept)
    reason = server.available()
    if reason:
        missing(reason)
    with server:
        yield server


@pytest.fixture(autouse=True)
def _nothing_left_running() -> Iterator[None]:
    """A test ends the processes that it starts."""
    yield
    left = left_running()
    names = [repr(process) for process in left]
    for process in left:
        process.close()
    assert not names, "the test left processes running"


# Shared by the session: a test must not stop, kill or wipe them.


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    """PostgreSQL, started at its first use."""
    yield from serving(PostgreSQL, kept=True)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDB]:
    """MariaDB, started at its first use."""
    yield from serving(MariaDB, kept=True)


#: What a server of another age, or of another taste, has set; a lock is waited for no longer than a second.
ODD = (
    "--character-set-server=latin1",
    "--collation-server=latin1_swedish_ci",
    "--default-time-zone=+05:00",
    "--sql-mode=",
    "--transaction-isolation=SERIALIZABLE",
    "--innodb-default-row-format=compact",
    "--innodb-snapshot-isolation=ON",
    "--innodb-lock-wait-timeout=1",
    "--lower-case-table-names=1",
    "--max-allowed-packet=4M",
)


@pytest.fixture(scope="session")
def odd_mariadb_server() -> Iterator[MariaDB]:
    """MariaDB with other defaults than those it comes with, started at its first use."""
    yield from serving(partial(MariaDB, options=ODD), kept=True)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """Redis, started at its first use."""
    yield from serving(Redis, kept=True)


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMQ]:
    """RabbitMQ, started at its first use."""
    yield from serving(RabbitMQ, kept=True)


# A test's own, to stop, kill and wipe.


@pytest.fixture
def own_postgresql() -> Iterator[PostgreSQL]:
    """A started PostgreSQL for one test."""
    yield from serving(PostgreSQL, kept=False)


@pytest.fixture
def own_mariadb() -> Iterator[MariaDB]:
    """A started MariaDB for one test."""
    yield from serving(MariaDB, kept=False)


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    """A started Redis for one test."""
    yield from serving(Redis, kept=False)


@pytest.fixture
def own_rabbitmq() -> Iterator[RabbitMQ]:
    """A started RabbitMQ for one test."""
    yield from serving(RabbitMQ, kept=False)


@pytest.fixture(params=["postgresql", "mariadb"])
def own_database_server(request: pytest.FixtureRequest) -> PostgreSQL | MariaDB:
    """A started database server for one test, once of each kind."""
    server: PostgreSQL | MariaDB = request.getfixturevalue(f"own_{request.param}")
    return server


# Empty places on the shared servers.


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The url of an SQLite database whose file is not there yet."""
    return f"sqlite:///{(tmp_path / 'test.sqlite3').as_posix()}"


@pytest.fixture
def postgresql_url(postgresql_server: PostgreSQL) -> Iterator[str]:
    """The url of an empty PostgreSQL database."""
    url = postgresql_server.create_database()
    yield url
    postgresql_server.drop_database(url)


@pytest.fixture
def mariadb_url(mariadb_server: MariaDB) -> Iterator[str]:
    """The url of an empty MariaDB database."""
    url = mariadb_server.create_database()
    yield url
    mariadb_server.drop_database(url)


@pytest.fixture
def redis_url(redis_server: Redis) -> Iterator[str]:
    """The url of an empty Redis database."""
    url = redis_server.create_database()
    yield url
    redis_server.drop_database(url)


@pytest.fixture
def rabbitmq_url(rabbitmq_server: RabbitMQ) -> Iterator[str]:
    """The url of an empty RabbitMQ virtual host."""
    url = rabbitmq_server.create_vhost()
    yield url
    rabbitmq_server.delete_vhost(url)


@pytest.fixture(scope="module", params=KINDS)
def database_kind(request: pytest.FixtureRequest) -> str:
    """The kind of database, each in its turn.

    A module whose rules do not depend on it, or that has other kinds, has a fixture of this name that says why.
    """
    found: str = request.param
    return found


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """The url of an empty database, once for each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=KINDS)
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Give the url of another empty database at each call, all of one kind; once for each kind."""
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def new() -> str:
            folder = tmp_path / f"database{next(numbers)}"
            folder.mkdir()
            return stack.enter_context(empty_database(request.param, request, folder))

        yield new


@pytest.fixture(scope="session")
def package_index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A package index can be reached."""
    require_index(tmp_path_factory.mktemp("index"))


# The other side.


@pytest.fixture
def target() -> Iterator[RecordingTarget]:
    """A target that records what is delivered and answers 200."""
    with RecordingTarget() as started:
        yield started


@pytest.fixture
def policy_server() -> Iterator[PolicyServer]:
    """A policy server that allows every ingest."""
    with PolicyServer() as started:
        yield started
