"""Waits for PostgreSQL no longer than a connection's limit; its driver alone waits for ever.

A server that is frozen still has its system acknowledge what is sent, so no time-out of the network ends the wait.
"""

from __future__ import annotations

import select
from typing import ClassVar

import psycopg2
from psycopg2 import extensions

#: What the error says that ends a wait.
IN_VAIN = "said nothing for"


class Connection(extensions.connection):
    """A connection that knows how many seconds it is waited for; None: for ever."""

    limit: ClassVar[float | None] = None


def connection_class(seconds: float | None) -> type[Connection]:
    """Make the class of connections that are waited for so long while they are made, and until told otherwise.

    From then on every connection of the process is waited for here, but those of other classes without a limit.
    """
    extensions.set_wait_callback(_wait)
    return type("Connection", (Connection,), {"limit": seconds})


def _wait(connection: extensions.connection) -> None:
    """Wait for an answer; where it raises, the driver closes the connection."""
    state = connection.poll()
    if state == extensions.POLL_OK:
        return
    limit = getattr(connection, "limit", None)
    while state != extensions.POLL_OK:
        if not _ready(connection.fileno(), state == extensions.POLL_WRITE, limit):
            raise psycopg2.OperationalError(f"the server {IN_VAIN} {limit:g} seconds")
        state = connection.poll()


def _ready(descriptor: int, writing: bool, seconds: float | None) -> bool:
    """Wait until there is something to read, or room to write; False if there is none in time."""
    if not hasattr(select, "poll"):
        reading, written = ([], [descriptor]) if writing else ([descriptor], [])
        return any(select.select(reading, written, [], seconds))
    waiting = select.poll()
    waiting.register(descriptor, select.POLLOUT if writing else select.POLLIN)
    return bool(waiting.poll(None if seconds is None else seconds * 1000))
