"""``receiver``: a target for trying things out, which prints what arrives."""

from __future__ import annotations

import json
import socket
import sys
import time
from argparse import Namespace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..config import Settings
from .output import complain

#: Headers that say nothing about the delivery.
_COMMON = {"host", "accept", "accept-encoding", "user-agent", "content-length", "connection"}


def receiver(options: Namespace, settings: Settings | None) -> bool:
    """Answer POSTs with one status after a delay, and print them, until it is interrupted."""
    handler = type("Handler", (_Handler,), {"options": options})
    try:
        server = _Server((options.address, options.port), handler)
    except OSError as error:
        complain(f"can't listen on {options.address}:{options.port}: {error.strerror}")
        return False
    complain(f"listening on http://{options.address}:{server.server_port}/ (Ctrl-C ends it)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        complain("ended")
    finally:
        server.server_close()
    return True


class _Server(ThreadingHTTPServer):
    """Does not wait for slow clients when it ends."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)


class _Handler(BaseHTTPRequestHandler):
    """Prints each request in one piece."""

    protocol_version = "HTTP/1.1"
    options: Namespace

    def do_POST(self) -> None:
        """Print, wait, answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        print(self._as_json(body) if self.options.json else self._as_text(body), flush=True)
        time.sleep(self.options.delay)
        self.send_response(self.options.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _as_text(self, body: bytes) -> str:
        headers = [f"{name}: {value}" for name, value in self._telling()]
        value = _value(body)
        shown = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
        return "\n".join([f"POST {self.path}", *headers, "", shown, ""])

    def _as_json(self, body: bytes) -> str:
        found = {"path": self.path, "headers": dict(self._telling()), "body": _value(body)}
        return json.dumps(found, ensure_ascii=False)

    def _telling(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.headers.items() if name.lower() not in _COMMON]

    def log_message(self, format: str, *args: Any) -> None:
        """Write the status line beside what was printed."""
        if not self.options.json:
            print(f"answered {self.options.status}", file=sys.stderr, flush=True)


def _value(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
