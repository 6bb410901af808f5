"""A process with targets that misbehave, each on a port of its own.

`python -m benchmarks.unruly hanging=15001 dripping=15002` listens on loopback until it is ended.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.ports import free_port
from tests.support.process import Process, clean_environment

from .sides import CHECKOUT

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def _hanging(writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def _dripping(writer: asyncio.StreamWriter) -> None:
    """Answer a byte a second."""
    for byte in _HEAD % 1000 + b"." * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def _endless(writer: asyncio.StreamWriter) -> None:
    """Answer with a body that does not end."""
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        writer.write(b"." * 65536)
        await writer.drain()


async def _resetting(writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    raise ConnectionError


_answered = itertools.count(1)


async def _fickle(writer: asyncio.StreamWriter) -> None:
    """Answer 200 every third time, else 500."""
    status = b"200 OK" if next(_answered) % 3 == 0 else b"500 Internal Server Error"
    writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)


BEHAVIOURS: dict[str, Behaviour] = {
    "hanging": _hanging,
    "dripping": _dripping,
    "endless": _endless,
    "resetting": _resetting,
    "fickle": _fickle,
}


@contextmanager
def unruly_targets(folder: Path, behaviours: Sequence[str]) -> Iterator[list[str]]:
    """Give the urls of targets that behave so, all in one process of their own."""
    ports = [free_port() for _ in behaviours]
    words = [f"{behaviour}={port}" for behaviour, port in zip(behaviours, ports, strict=True)]
    command = [sys.executable, "-m", "benchmarks.unruly", *words]
    with Process(command, folder / "unruly.log", env=clean_environment(folder / "home"), cwd=CHECKOUT) as process:
        process.wait_for_output("listening")
        yield [f"http://127.0.0.1:{port}" for port in ports]


async def _serve(behaviour: Behaviour, port: int) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
                await reader.readexactly(int(length[1]) if length else 0)
                await behaviour(writer)
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", port, backlog=512)


async def _main() -> None:
    named = [word.split("=") for word in sys.argv[1:]]
    servers = [await _serve(BEHAVIOURS[behaviour], int(port)) for behaviour, port in named]
    print("listening", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_main())
