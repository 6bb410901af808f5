"""The embedded HTTP server: CherryPy's, stricter about what two readers could read as two different requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cherrypy
from cheroot.server import HeaderReader, comma_separated_headers  # type: ignore[attr-defined] # of its stub
from cherrypy._cpwsgi_server import CPWSGIHTTPRequest, CPWSGIServer

from ..globals import SOFTWARE
from . import framing
from .answers import LONGEST_REST, early_error
from .listener import Listener

#: Connections that may wait to be taken; one more waits a second or several until its client knocks again.
BACKLOG = 128


class _Headers(dict[bytes, bytes]):
    """Headers by name; one that comes twice, or goes on in the next line, has both values and so no valid one."""

    def __setitem__(self, name: bytes, value: bytes) -> None:
        if name in self and name not in comma_separated_headers:
            value = self[name] + b", " + value
        super().__setitem__(name, value)


class _HeaderReader(HeaderReader):
    """Drops headers with an underscore in their name: ``Http_Remote_User`` must not pass for ``Http-Remote-User``."""

    def __call__(self, rfile: Any, hdict: dict[bytes, bytes] | None = None) -> dict[bytes, bytes]:
        """Read all headers into ``hdict``; raises ``ValueError`` for what is no header."""
        found: dict[bytes, bytes] = {} if hdict is None else hdict
        read = _Headers()
        try:
            super().__call__(framing.HeaderLines(rfile), read)
        finally:
            # What came before the fault says in which form the client wants to hear of it.
            found.update(read)
        framing.check(found)
        return found

    def _allow_header(self, key_name: bytes) -> bool:
        return b"_" not in key_name


class _Request(CPWSGIHTTPRequest):
    """A request whose unread rest is read in pieces, or not at all."""

    header_reader = _HeaderReader()

    def simple_response(self, status: str, msg: str = "") -> None:
        """Refuse what the application does not see, in the form of its errors; then the connection ends."""
        self.close_connection = True
        media_type, body = early_error(str(status), msg, self.inheaders.get(b"Accept", b"").decode("latin-1"))
        lines = [f"{self.server.protocol} {status}", f"Content-Type: {media_type}", f"Content-Length: {len(body)}"]
        try:
            self.conn.wfile.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body)
        except OSError:
            # The client is gone.
            return

    def send_headers(self) -> None:
        """Send them; the connection ends where the answer says so, or where too much is left to read."""
        left = getattr(self.rfile, "remaining", 0)
        ends = any(name.lower() == b"connection" and value.lower() == b"close" for name, value in self.outheaders)
        if ends or not 0 <= left <= LONGEST_REST:
            self.close_connection = True
        while not self.close_connection and left > 0 and (chunk := self.rfile.read(min(left, 65536))):
            left -= len(chunk)
        super().send_headers()


def _strict(gateway: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let what hands requests to the application read chunks strictly."""

    def hand_over(request: Any) -> Any:
        if request.chunked_read:
            request.rfile.rfile = framing.Chunks(request.rfile.rfile)
        return gateway(request)

    return hand_over


class Server(CPWSGIServer):
    """The server that ``cherrypy.server`` starts; make it after the configuration was read."""

    def __init__(self) -> None:
        super().__init__(cherrypy.server)
        # By which requests are known to come through this server, and no other.
        self.software = SOFTWARE
        self.ConnectionClass.RequestHandlerClass = _Request
        self.gateway = _strict(self.gateway)  # type: ignore[has-type] # of its stub
        self.request_queue_size = max(int(cherrypy.server.socket_queue_size), BACKLOG)

    def prepare(self) -> None:
        """Listen; raises ``OSError`` where that is not possible."""
        super().prepare()
        self.socket = Listener.instead_of(self.socket)  # type: ignore[has-type] # of its stub
