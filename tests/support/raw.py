"""Requests byte by byte: what an HTTP library refuses to send or sets right by itself."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple

Headers = Sequence[tuple[str, str]]


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Return the body as a JSON value."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode()


def send(
    port: int,
    method: str,
    path: str,
    headers: Headers = (),
    body: bytes = b"",
    *,
    length: bool = True,
    finish: bool = False,
    host: str = "127.0.0.1",
    source: str = "",
    tls: ssl.SSLContext | None = None,
    seconds: float = 30,
) -> Answer:
    """Send one request on a connection of its own and return the answer.

    With `length` false there is no Content-Length but one among the headers. With `finish` no more can come after the
    body: a client that broke off. `source` is the address it comes from; with `tls` it is encrypted.
    """
    lines = [*headers, ("Connection", "close")]
    if not any(name == "Host" for name, _ in headers):
        lines.append(("Host", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))
    if length:
        lines.append(("Content-Length", str(len(body))))
    with connected(host, port, source, tls, seconds) as connection:
        connection.sendall(head(method, path, lines) + body)
        if finish:
            connection.shutdown(socket.SHUT_WR)
        return receive(connection, method)


def send_to(path: Path, method: str, place: str, headers: Headers = (), seconds: float = 30) -> Answer:
    """Send one request without a body to a unix socket and return the answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(str(path))
        connection.sendall(head(method, place, [*headers, ("Host", "localhost"), ("Connection", "close")]))
        return receive(connection, method)


@contextmanager
def connected(host: str, port: int, source: str, tls: ssl.SSLContext | None, seconds: float) -> Iterator[socket.socket]:
    """Give a connection, which ends with the block."""
    with socket.create_connection((host, port), seconds, (source, 0) if source else None) as connection:
        if tls is None:
            yield connection
        else:
            with tls.wrap_socket(connection, server_hostname=host) as encrypted:
                yield encrypted


def head(method: str, path: str, headers: Headers) -> bytes:
    """Return the request line and the headers as they are sent, in latin-1."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def receive(connection: socket.socket, method: str) -> Answer:
    """Read one answer."""
    response = HTTPResponse(connection, method=method)
    response.begin()
    return Answer(response.status, response.headers, response.read())


def chunked(chunks: Iterable[bytes]) -> bytes:
    """Return a body in chunks (RFC 9112, section 7.1)."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


def exchange(port: int, sent: bytes, *, listen: bool = True, seconds: float = 30) -> bytes:
    """Send bytes as they are and return all that comes back; without `listen` go away at once."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            connection.sendall(sent)
            if listen:
                # A server that has refused what it has read so far may be gone.
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_WR)
                while chunk := connection.recv(65536):
                    received += chunk
        except (BrokenPipeError, ConnectionResetError):
            pass
    return received
