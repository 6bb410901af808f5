"""A process that sends events to `/receive` over several connections and notes how long each answer took.

`python -m benchmarks.loader PORT --connections 8 --seconds 5` prints one JSON object, a `Result`. Each connection sends
its next event when the last one is answered. An event is an ingest as Pacifica's metadata service sends it, 3 KB, each
with a number of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.support.factories import ingest

#: Stands in the template where an event's own number is to stand; numbers are as long, so that bodies are too.
_HOLE = 9_876_543_210
#: What is added to the numbers of events.
_LOWEST = 1_000_000_000


@dataclass
class Result:
    """What came of a load: answers by status, and the seconds that each 200 took.

    `began` and `ended` are nanoseconds of the machine's monotonic clock.
    """

    began: int = 0
    ended: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


class Load:
    """Events to send until there were enough, or until the deadline."""

    def __init__(self, port: int, first: int, events: int, deadline: int, keep_alive: bool) -> None:
        self.result = Result()
        self._port = port
        self._keep_alive = keep_alive
        self._numbers = iter(range(_LOWEST + first, _LOWEST + first + events))
        self._deadline = deadline
        self._body = json.dumps(ingest(_HOLE), ensure_ascii=False).encode()
        self._head = (
            f"POST /receive HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(self._body)}\r\n\r\n"
        ).encode()

    async def run(self, connections: int) -> None:
        """Send."""
        self.result.began = time.monotonic_ns()
        await asyncio.gather(*(self._send() for _ in range(connections)))

    def _next(self) -> bytes | None:
        """Give the next request, None when it is enough."""
        number = next(self._numbers, None)
        if number is None or time.monotonic_ns() >= self._deadline:
            return None
        return self._head + self._body.replace(b"%d" % _HOLE, b"%d" % number)

    async def _send(self) -> None:
        """Send over one connection; without keep-alive over one after the other."""
        reader: asyncio.StreamReader | None = None
        writer: asyncio.StreamWriter | None = None
        while (request := self._next()) is not None:
            began = time.monotonic_ns()
            if reader is None or writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(request)
            status = await _answer(reader)
            ended = self.result.ended = time.monotonic_ns()
            self.result.statuses[status] += 1
            if status == "200":
                self.result.seconds.append((ended - began) / 1e9)
            if not self._keep_alive:
                writer.close()
                reader = writer = None
        if writer is not None:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> str:
    """Read one answer and give its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    if length:
        await reader.readexactly(int(length[1]))
    else:
        await reader.read()
    return head[9:12].decode()


def main() -> None:
    """Send what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first event")
    parser.add_argument("--no-keep-alive", action="store_true", help="a connection for each event")
    options = parser.parse_args()
    deadline = time.monotonic_ns() + int(options.seconds * 1e9)
    load = Load(options.port, options.first, options.events, deadline, not options.no_keep_alive)
    asyncio.run(load.run(options.connections))
    print(json.dumps(vars(load.result)))


if __name__ == "__main__":
    main()
