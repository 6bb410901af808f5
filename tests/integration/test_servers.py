"""The private servers of the tests start, stop, die and forget as the tests need them to."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from kombu import Connection
from playhouse.db_url import connect
from redis import Redis as Client

from tests.support.servers import MariaDB, PostgreSQL, RabbitMQ, Redis


def remember(url: str) -> None:
    """Store something in the place that the url names."""
    if url.startswith("redis"):
        with Client.from_url(url) as client:
            client.set("kept", 1)
    elif url.startswith("amqp"):
        with Connection(url) as connection:
            connection.SimpleQueue("kept").put("x")
    else:
        with connect(url) as database:
            database.execute_sql("CREATE TABLE kept (id int)")


def remembers(url: str) -> bool:
    """Tell whether it is still there."""
    if url.startswith("redis"):
        with Client.from_url(url) as client:
            return bool(client.exists("kept"))
    if url.startswith("amqp"):
        with Connection(url) as connection:
            return bool(connection.SimpleQueue("kept").qsize())
    with connect(url) as database:
        return "kept" in database.get_tables()


def refuses(port: int) -> bool:
    """Tell whether nobody listens on the port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def survives(server: PostgreSQL | MariaDB | RabbitMQ | Redis, url: str, *, durable: bool) -> None:
    """Stop, kill and wipe a server and look each time what is left."""
    remember(url)

    server.stop()
    assert refuses(server.port)
    server.start()
    assert remembers(url) == durable

    server.kill()
    assert refuses(server.port)
    server.start()
    assert remembers(url) == durable

    server.wipe()
    assert not remembers(server.url)
    server.close()
    assert refuses(server.port)


def test_postgresql_forgets_only_when_wiped(own_postgresql: PostgreSQL) -> None:
    """PostgreSQL keeps its data over a stop and a crash."""
    survives(own_postgresql, own_postgresql.url, durable=True)


def test_postgresql_recovers_from_an_immediate_stop(own_postgresql: PostgreSQL) -> None:
    """An immediate stop makes the next start a recovery that loses nothing."""
    remember(own_postgresql.url)

    own_postgresql.stop(mode="immediate")
    own_postgresql.start()

    assert "recovery" in own_postgresql.log
    assert remembers(own_postgresql.url)


def test_mariadb_forgets_only_when_wiped(own_mariadb: MariaDB) -> None:
    """MariaDB keeps its data over a stop and a crash."""
    survives(own_mariadb, own_mariadb.url, durable=True)


def test_redis_forgets_at_every_stop(own_redis: Redis) -> None:
    """Redis keeps nothing."""
    survives(own_redis, own_redis.url, durable=False)


def test_rabbitmq_forgets_only_when_wiped(own_rabbitmq: RabbitMQ) -> None:
    """RabbitMQ keeps durable queues with their messages over a stop and a crash."""
    survives(own_rabbitmq, own_rabbitmq.url, durable=True)


@pytest.mark.parametrize("name", ["postgresql", "mariadb", "redis"])
def test_databases_are_empty_and_apart(name: str, request: pytest.FixtureRequest) -> None:
    """What is stored in one database is not seen in another."""
    server = request.getfixturevalue(f"{name}_server")
    apart(server.create_database, server.drop_database)


def test_virtual_hosts_are_empty_and_apart(rabbitmq_server: RabbitMQ) -> None:
    """What is queued in one virtual host is not seen in another."""
    apart(rabbitmq_server.create_vhost, rabbitmq_server.delete_vhost)


def apart(create: Callable[[], str], drop: Callable[[str], None]) -> None:
    """Fill one place, look into the other, drop both."""
    one, other = create(), create()

    remember(one)

    assert one != other
    assert remembers(one)
    assert not remembers(other)
    drop(one)
    drop(other)


def test_a_database_url_is_usable(database_url: str) -> None:
    """The urls of the databases go to empty ones."""
    assert not remembers(database_url)

    remember(database_url)

    assert remembers(database_url)
