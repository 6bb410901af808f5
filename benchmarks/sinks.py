"""Targets that answer at once, on ports of their own: nginx where it is installed, else our own sink."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.servers import Server

from .sides import Sink

_CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {data}/body;
    fastcgi_temp_path {data}/fastcgi;
    proxy_temp_path {data}/proxy;
    scgi_temp_path {data}/scgi;
    uwsgi_temp_path {data}/uwsgi;
    server {{
        {listen}
        location / {{ return 204; }}
    }}
}}
"""


class FastNginx(Server):
    """nginx that answers 204 to everything, on several ports of 127.0.0.1."""

    name = "nginx"
    programs = (("nginx",),)
    places = ("usr/sbin",)

    def __init__(self, number: int) -> None:
        super().__init__()
        self.ports = [self.port, *(free_port() for _ in range(number - 1))]

    @property
    def url(self) -> str:
        """The first target."""
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        """The targets."""
        return [f"http://127.0.0.1:{port}" for port in self.ports]

    def _make_data(self) -> None:
        listen = " ".join(f"listen 127.0.0.1:{port} backlog=512;" for port in self.ports)
        text = _CONFIGURATION.format(folder=self.folder, data=self._data, listen=listen)
        (self.folder / "nginx.conf").write_text(text, encoding="utf-8")

    def _command(self) -> list[str]:
        return [self._program("nginx"), "-e", "stderr", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]

    def _serves(self) -> bool:
        return self._greets(b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 204")


@contextmanager
def fast_targets(folder: Path, number: int) -> Iterator[list[str]]:
    """Give the urls of so many targets, each a host and port of its own, served by one process."""
    if FastNginx.available() is None:
        with FastNginx(number) as nginx:
            yield nginx.urls
    else:
        with Sink(folder, "targets", number) as sink:
            yield sink.urls
