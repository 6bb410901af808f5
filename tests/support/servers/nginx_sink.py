"""A private nginx that takes every POST, over plain HTTP and over TLS with HTTP/2."""

from __future__ import annotations

import os
from pathlib import Path

from ..listener import make_certificate
from ..ports import free_port
from .base import Server

#: Each answer of `/said` says the protocol, and how many requests its connection has brought so far.
MAIN = """
daemon off;
worker_processes 1;
{user}
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {data}/body;
    fastcgi_temp_path {data}/fastcgi;
    proxy_temp_path {data}/proxy;
    scgi_temp_path {data}/scgi;
    uwsgi_temp_path {data}/uwsgi;
    client_max_body_size 16m;
    client_body_buffer_size 64k;
    keepalive_requests 100000000;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        listen 127.0.0.1:{tls_port} ssl http2 backlog=4096;
        ssl_certificate {data}/certificate.pem;
        ssl_certificate_key {data}/key.pem;
        location / {{ return 204; }}
        location /said {{ return 200 "$server_protocol $connection $connection_requests"; }}
    }}
}}
"""


class NginxSink(Server):
    """nginx on 127.0.0.1: 204 for everything, 200 with protocol, connection and number of the request for `/said`."""

    name = "nginx"
    programs = (("nginx",), ("openssl",))
    places = ("usr/sbin",)
    # What it reads belongs to who runs the tests.
    users = ("root",)

    def __init__(self, *, kept: bool = False) -> None:
        super().__init__(kept=kept)
        self.tls_port = free_port()

    @property
    def url(self) -> str:
        """Where it answers plain HTTP, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """Where it answers over TLS, without a path."""
        return f"https://127.0.0.1:{self.tls_port}"

    @property
    def certificate(self) -> Path:
        """The file of the certificate that clients have to trust."""
        return self._data / "certificate.pem"

    def _make_data(self) -> None:
        make_certificate(self.certificate, self._data / "key.pem")
        user = "user root;" if os.geteuid() == 0 else ""
        main = MAIN.format(user=user, folder=self.folder, data=self._data, port=self.port, tls_port=self.tls_port)
        (self.folder / "nginx.conf").write_text(main, encoding="utf-8")

    def _command(self) -> list[str]:
        return [self._program("nginx"), "-e", "stderr", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]

    def _serves(self) -> bool:
        return self._greets(b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 204")
