"""Fixtures: private servers and what is made new on them for each test."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from .support.missing import missing
from .support.policy import PolicyServer
from .support.process import left_running
from .support.servers import MariaDB, PostgreSQL, RabbitMQ, Redis, Server
from .support.target import RecordingTarget

S = TypeVar("S", bound=Server)


def pytest_sessionstart() -> None:
    """Let SIGTERM end the run as Ctrl-C does, so that its servers end with it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def serving(kind: type[S], *, kept: bool) -> Iterator[S]:
    """Give a started server and close it at the end."""
    reason = kind.available()
    if reason:
        missing(reason)
    with kind(kept=kept) as server:
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


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The url of an empty database, once for each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


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
