"""A TCP proxy on loopback that can spoil what passes through it, and be switched while it runs."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self

from .ports import free_port

Kind = Literal["pass", "stall", "reset", "drop", "cut", "drip"]
Way = Literal["there", "back"]
_LINGER = b"\x01\x00\x00\x00\x00\x00\x00\x00"


@dataclass(frozen=True, slots=True)
class Mode:
    """What happens to bytes; `way` says to which: from the client `there`, from the server `back`, None to both.

    `pass`, `stall` (kept until the mode changes), `reset` (connections break, new ones too), `drop` (swallowed),
    `cut` (the connection ends after `size` bytes of it), `drip` (a byte every `pause` seconds).
    """

    kind: Kind = "pass"
    way: Way | None = None
    size: int = 0
    pause: float = 0.02


class Proxy:
    """Listens on a port of its own and passes on to another; as a context manager it starts and stops."""

    def __init__(self, server_port: int) -> None:
        self.port = free_port()
        #: Connections that a mode has broken.
        self.broken = 0
        self._server_port = server_port
        self._mode = Mode()
        self._changed = threading.Condition()
        self._connections: set[_Connection] = set()
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._listener is not None and self._thread is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._thread.join()
        self._listener = self._thread = None
        self.switch("reset")

    @property
    def mode(self) -> Mode:
        """What is done now."""
        return self._mode

    def switch(self, kind: Kind, way: Way | None = None, size: int = 0) -> None:
        """Do something else from now on, with the connections that are open as well."""
        with self._changed:
            self._mode = Mode(kind, way, size)
            self._changed.notify_all()
            connections = list(self._connections)
        for connection in connections:
            connection.passed = dict.fromkeys(connection.passed, 0)
            if kind == "reset":
                self.broken += 1
                connection.reset()

    def wait_while_stalled(self, way: Way) -> Mode:
        """Return the mode that holds for one way, once it is not `stall`."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._mode.kind == "stall" and self._mode.way in (None, way)))
            return self._mode

    def forget(self, connection: _Connection) -> None:
        """Take a connection for ended."""
        with self._changed:
            self._connections.discard(connection)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._server_port), timeout=5)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            connection = _Connection(self, client, server)
            with self._changed:
                self._connections.add(connection)
            if self._mode.kind == "reset":
                connection.reset()
            else:
                connection.start()


class _Connection:
    """One client and its connection to the server, with a thread for each way."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._ends = (client, server)
        self._lock = threading.Lock()
        self._open = True
        #: Bytes that have passed each way since the mode changed.
        self.passed: dict[Way, int] = {"there": 0, "back": 0}
        for end in self._ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        client, server = self._ends
        for way, source, sink in (("there", client, server), ("back", server, client)):
            threading.Thread(target=self._pump, args=(way, source, sink), daemon=True).start()

    def reset(self) -> None:
        """Break it off, with a reset for both ends."""
        with self._lock:
            if self._open:
                self._open = False
                for end in self._ends:
                    _reset(end)
        self._proxy.forget(self)

    def _pump(self, way: Way, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if not self._pass(way, data, sink):
                    break
        except OSError:
            pass
        self._end()

    def _pass(self, way: Way, data: bytes, sink: socket.socket) -> bool:
        mode = self._proxy.wait_while_stalled(way)
        if mode.way not in (None, way) or mode.kind in ("pass", "stall"):
            sink.sendall(data)
        elif mode.kind == "reset":
            return False
        elif mode.kind == "cut":
            left = max(0, mode.size - self.passed[way])
            sink.sendall(data[:left])
            self.passed[way] += len(data)
            if self.passed[way] >= mode.size:
                self._proxy.broken += 1
                return False
        elif mode.kind == "drip":
            for position in range(len(data)):
                if self._proxy.mode != mode:
                    sink.sendall(data[position:])
                    break
                sink.sendall(data[position : position + 1])
                time.sleep(mode.pause)
        return True

    def _end(self) -> None:
        with self._lock:
            if self._open:
                self._open = False
                for end in self._ends:
                    with suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
                    end.close()
        self._proxy.forget(self)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        # The thread that reads from it hears of its end.
        end.shutdown(socket.SHUT_RD)
    end.close()
