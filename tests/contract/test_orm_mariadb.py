"""What is MariaDB's alone: which servers are taken, and how a connection to one is set."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from pacifica.notifications import orm
from pacifica.notifications.config import Database, Receive, Settings
from pacifica.notifications.errors import ConfigError
from tests.conftest import serving
from tests.support.servers import MariaDB

from .conftest import use_database

MIB = 1024 * 1024
#: Options of a connection, those that this system has; in seconds, the last in milliseconds.
HEARD = {
    name: value
    for name, value in {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20000}.items()
    if hasattr(socket, name)
}


@pytest.fixture(autouse=True)
def _disconnected() -> Iterator[None]:
    """A test leaves no connection behind."""
    yield
    orm.disconnect()


@pytest.fixture
def called(request: pytest.FixtureRequest) -> Iterator[MariaDB]:
    """MariaDB that says it is of another version, which is all that a client sees of one."""
    yield from serving(lambda kept: MariaDB(kept=kept, options=[f"--version={request.param}"]), kept=False)


@pytest.mark.parametrize("called", ["8.0.36", "10.5.29-MariaDB-log"], indirect=True)
def test_a_server_that_cannot_do_it_is_refused(called: MariaDB, request: pytest.FixtureRequest) -> None:
    """MySQL, and MariaDB before 10.6, are refused by their version at every door, and nothing is made there."""
    use_database(called.create_database())
    doors: list[Callable[[], object]] = [orm.OrmSync.update_tables, lambda: orm.wait_until_up(Settings())]

    for door in doors:
        with pytest.raises(ConfigError, match=r"the server is .*; mysql:// is for MariaDB 10\.6 or newer") as caught:
            door()
        assert request.node.callspec.params["called"] in str(caught.value)


@pytest.mark.parametrize("called", ["11.8.2-MariaDB"], indirect=True)
def test_a_newer_server_is_taken(called: MariaDB) -> None:
    """A later version counts as newer."""
    use_database(called.create_database())

    assert orm.OrmSync.update_tables().changed


@pytest.mark.parametrize("server", ["mariadb_server", "odd_mariadb_server"])
def test_a_connection_is_set_as_it_has_to_be(server: str, request: pytest.FixtureRequest) -> None:
    """Whatever a server's defaults: UTC, what is committed is seen, what does not fit is refused, all text goes."""
    url = request.getfixturevalue(server).create_database()
    use_database(url)

    with orm.session():
        ((zone, isolation, mode, text, commits),) = orm.DB.execute_sql(
            "SELECT @@time_zone, @@tx_isolation, @@sql_mode, @@character_set_client, @@autocommit"
        ).fetchall()

    assert (zone, isolation, text, commits) == ("+00:00", "READ-COMMITTED", "utf8mb4", 1)
    assert "STRICT_ALL_TABLES" in mode
    request.getfixturevalue(server).drop_database(url)


def test_silence_is_heard(mariadb_url: str) -> None:
    """The system finds out in seconds that a server is gone which does not say so."""
    use_database(mariadb_url)

    with orm.session():
        told = {name: orm.DB.connection()._sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in HEARD}

    assert told == HEARD


def test_bodies_have_to_fit_through(odd_mariadb_server: MariaDB) -> None:
    """A server that takes less at once than the largest body needs is told at the start, with what to set."""
    url = odd_mariadb_server.create_database()

    def start(mib: int) -> None:
        settings = Settings(database=Database(url), receive=Receive(max_body=mib * MIB))
        orm.initialize(settings)
        orm.wait_until_up(settings)

    start(1)
    with pytest.raises(ConfigError, match=r"receive\.max_body = 2097152 bytes need max_allowed_packet = 42\d{5} there"):
        start(2)
    odd_mariadb_server.drop_database(url)
