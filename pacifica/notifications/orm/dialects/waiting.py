"""Waits for PostgreSQL no longer than a connection's limit; its driver alone waits for ever.

A server that is frozen still has its system acknowledge what is sent, so no time-out of the network ends the wait.
"""

from __future__ import annotations

from typing import ClassVar

import psycopg2
from psycopg2 import extensions

from . import meantime

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
        wanted = meantime.WRITE if state == extensions.POLL_WRITE else meantime.READ
        if not meantime.wait(connection.fileno(), wanted, limit):
            raise psycopg2.OperationalError(f"the server {IN_VAIN} {limit:g} seconds")
        state = connection.poll()
