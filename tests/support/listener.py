"""A small HTTP/1.1 server in threads, which can go away and come back on the same port."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, Self

from .ports import free_port

Headers = Sequence[tuple[str, str]]


class Listener(ABC):
    """Answers HTTP on a port of its own, each connection in a thread, kept alive between requests.

    Started by `start` or as a context manager; after `stop` connections are refused and those that were open
    are closed; another `start` takes the same port again.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int | None = None, tls: bool = False) -> None:
        self.host = host
        self.port = port or free_port(host)
        #: Set while it is being stopped: whoever holds an answer back gives up.
        self.stopping = threading.Event()
        self._tls = tls
        self._certificate_folder = tempfile.TemporaryDirectory(prefix="certificate-") if tls else None
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def handle(self, exchange: Exchange) -> None:
        """Answer one request; called in the thread of its connection."""

    @property
    def origin(self) -> str:
        """Return scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    def url(self, path: str = "/") -> str:
        """Return the address of a path."""
        return self.origin + path

    def start(self) -> None:
        """Listen, and answer from now on."""
        if self._server is not None:
            raise AssertionError(f"{self.origin} is listening already")
        self.stopping.clear()
        self._server = _Server(self, self._context() if self._tls else None)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name=self.origin, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections and close the open ones; may be called twice."""
        if self._server is None or self._thread is None:
            return
        self.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = self._thread = None

    @property
    def certificate(self) -> Path:
        """The file of the certificate that clients of a TLS listener have to trust; stays over restarts."""
        if self._certificate_folder is None:
            raise AssertionError(f"{self.origin} has no certificate")
        return Path(self._certificate_folder.name) / "certificate.pem"

    def _context(self) -> ssl.SSLContext:
        key = self.certificate.with_name("key.pem")
        if not key.exists():
            make_certificate(self.certificate, key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        return context


class Exchange(BaseHTTPRequestHandler):
    """One connection with its requests; `handle` of the listener is called for each of them."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    #: The body of the request, read before the listener sees it.
    content: bytes

    def __getattr__(self, name: str) -> Any:
        """Take every method, `do_ANYTHING`."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        self.content = self._body()
        self.server.listener.handle(self)

    def _body(self) -> bytes:
        """Return the body, whether it has a length or comes in chunks."""
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue
        return b"".join(chunks)

    def answer(self, status: int, headers: Headers = (), body: bytes = b"") -> None:
        """Send a whole answer in one piece."""
        self.send(head(status, [*headers, ("Content-Length", str(len(body)))]) + body)

    def send(self, data: bytes) -> None:
        """Send bytes as they are; once the client has gone away the connection ends."""
        if self.command == "HEAD":
            data = data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        try:
            self.connection.sendall(data)
        except OSError:
            self.close_connection = True

    def reset(self) -> None:
        """Break the connection with a reset, not with an orderly end."""
        self.close_connection = True
        with socket.socket(fileno=self.connection.detach()) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    """The socket side of a listener."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, listener: Listener, context: ssl.SSLContext | None) -> None:
        self.listener = listener
        self._context = context
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
        super().__init__((listener.host, listener.port), Exchange)

    def server_bind(self) -> None:
        """Bind without looking up the name of the host, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.listener.host, self.listener.port

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; a TLS handshake takes place later, in its thread."""
        connection, address = super().get_request()
        if self._context:
            connection = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Close the listening socket and every connection."""
        super().server_close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away in the middle are part of the tests."""


def head(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return status line and headers with the empty line after them."""
    lines = [f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def tls_available() -> str | None:
    """Return why no certificate can be made here, or None."""
    return None if shutil.which("openssl") else "the command openssl is not installed here"


def make_certificate(certificate: Path, key: Path) -> None:
    """Write a self-signed certificate for localhost, 127.0.0.1 and ::1."""
    options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run(["openssl", "req", "-x509", *options, *names, *files], check=True, capture_output=True)
