"""A process that answers every POST with 200 at once and keeps when it came: a target, or a policy server.

`python -m benchmarks.sink PORT [PORT ...]` listens on loopback. `GET /arrivals/10` answers once ten POSTs have come,
with a JSON list of the times of all that have come, in nanoseconds of the machine's monotonic clock, and forgets them.
It looks at no body and keeps connections, so that it takes little of what it measures.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence

_ANSWER = b'{"status": "success"}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_POSTED = _HEAD % len(_ANSWER) + _ANSWER

_arrivals: list[int] = []
_asking: dict[Connection, int] = {}


class Connection(asyncio.Protocol):
    """One connection with its requests, one after the other."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer nobody who has gone."""
        _asking.pop(self, None)

    def data_received(self, data: bytes) -> None:
        """Take every request that is whole by now."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._received[:end])
            whole = end + 4 + _length(head)
            if len(self._received) < whole:
                return
            del self._received[:whole]
            self._take(head)

    def write(self, data: bytes) -> None:
        """Send."""
        assert self._transport is not None
        self._transport.write(data)

    def _take(self, head: bytes) -> None:
        method, path, _ = head.split(b" ", 2)
        if method == b"POST":
            _arrivals.append(time.monotonic_ns())
            self.write(_POSTED)
        else:
            _asking[self] = int(path.rpartition(b"/")[2])
        if _asking:
            _tell()


def _tell() -> None:
    """Tell those who ask what came, once it is as much as they wait for."""
    for connection, number in list(_asking.items()):
        if len(_arrivals) >= number:
            del _asking[connection]
            body = json.dumps(_arrivals).encode()
            _arrivals.clear()
            connection.write(_HEAD % len(body) + body)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _serve(ports: Sequence[int]) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Connection, "127.0.0.1", port, backlog=512) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_serve([int(port) for port in sys.argv[1:]]))
