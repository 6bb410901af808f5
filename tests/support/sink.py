"""A target in a process of its own that writes down what arrives, on disk before it answers.

`python -m tests.support.sink PORT FILE` listens on loopback. The first part of a path says what is answered:

- `/ok`: 200
- `/slow/0.5`: the same after half a second
- `/hang`: nothing
- `/script/500,429:2,reset,200`: by the number of the attempt; `429:2` has `Retry-After: 2`, the last one stays
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .pages import CHECKOUT
from .ports import free_port
from .process import Process


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request: when it came by the machine's monotonic clock, and the status that it was to be answered with."""

    at: float
    path: str
    delivery: str
    attempt: int
    authorization: str
    type: str
    id: str
    status: int | None


class Sink(Process):
    """The process; it keeps its port and its file over restarts."""

    def __init__(self, folder: Path, name: str = "sink") -> None:
        self.port = free_port()
        self.file = folder / f"{name}.arrivals"
        self.file.write_bytes(b"")
        self._read = 0
        self._arrivals: list[Arrival] = []
        command = [sys.executable, "-m", "tests.support.sink", str(self.port), str(self.file)]
        # The checkout is not on the path of who tests the built package.
        env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        super().__init__(command, folder / f"{name}.log", env=env, cwd=folder)

    def start(self, seconds: float = 30) -> None:
        """Start it and wait until it listens."""
        super().start()
        self.wait_for_output("listening", seconds)

    def url(self, path: str, port: int | None = None) -> str:
        """Return the address of a path, on request on the port of a proxy before it."""
        return f"http://127.0.0.1:{port or self.port}{path}"

    def arrivals(self, type_: str) -> list[Arrival]:
        """Return what has arrived of events of a type, in that order."""
        with self.file.open("rb") as file:
            file.seek(self._read)
            # The last line may be half written.
            whole = file.read().rpartition(b"\n")[0]
        if whole:
            self._read += len(whole) + 1
            self._arrivals += [Arrival(**json.loads(line)) for line in whole.splitlines()]
        return [arrival for arrival in self._arrivals if arrival.type == type_]

    def forget(self) -> None:
        """Forget what was read so far."""
        self._arrivals.clear()


class _Journal:
    """Writes lines; what comes in one turn of the loop is brought to disk together and answered then."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("ab", buffering=0)
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []

    async def write(self, line: dict[str, Any]) -> None:
        """Return when the line is on disk."""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._flush)
        self._waiting.append((json.dumps(line).encode() + b"\n", written))
        await written

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._file.write(b"".join(line for line, _ in waiting))
        os.fsync(self._file.fileno())
        for _, written in waiting:
            if not written.done():
                written.set_result(None)


def _planned(path: str, attempt: int) -> tuple[str, float]:
    """Return what is answered (a status, `reset` or `hang`) and the seconds before or, for 429 and 503, after."""
    kind, _, rest = path.strip("/").partition("/")
    if kind == "script":
        steps = rest.split("/")[0].split(",")
        step, _, seconds = steps[min(attempt, len(steps)) - 1].partition(":")
        return step, float(seconds or 0)
    return ("hang", 0.0) if kind == "hang" else ("200", float(rest.split("/")[0]) if kind == "slow" else 0.0)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, journal: _Journal) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            if not await _give(writer, journal, first.split(" ")[1], headers, body):
                return
    except (OSError, asyncio.IncompleteReadError):
        return
    finally:
        writer.close()


async def _give(
    writer: asyncio.StreamWriter, journal: _Journal, path: str, headers: Mapping[str, str], body: bytes
) -> bool:
    """Write the request down and answer it; False ends the connection."""
    attempt = int(headers.get("notifications-attempt", 1))
    answer, seconds = _planned(path, attempt)
    status = int(answer) if answer.isdigit() else None
    event = json.loads(body)
    line = {
        "at": time.monotonic(),
        "path": path,
        "delivery": headers.get("notifications-delivery", ""),
        "attempt": attempt,
        "authorization": headers.get("authorization", ""),
        "type": event.get("type", ""),
        "id": event.get("id", ""),
        "status": status,
    }
    await journal.write(line)
    if answer == "reset":
        writer.transport.abort()
        return False
    if status is None:
        await asyncio.sleep(3600)
        return False
    more = f"Retry-After: {seconds:g}\r\n" if status in (429, 503) and seconds else ""
    await asyncio.sleep(0 if more else seconds)
    writer.write(f"HTTP/1.1 {status} Answer\r\n{more}Content-Length: 2\r\n\r\n{{}}".encode())
    await writer.drain()
    return True


async def _serve(port: int, file: Path) -> None:
    journal = _Journal(file)
    server = await asyncio.start_server(lambda r, w: _answer(r, w, journal), "127.0.0.1", port, backlog=512)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
