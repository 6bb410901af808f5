"""A private nginx with the site that is shipped."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from ..listener import make_certificate
from ..ports import free_port
from .base import Server

#: What stands around the site. The site beside it is the first of the address, whose word nginx takes for the headers
#: that come before `Host`: the most careless neighbour there can be.
MAIN = """
daemon off;
worker_processes 1;
{user}
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    underscores_in_headers on;
    client_body_temp_path {data}/body;
    fastcgi_temp_path {data}/fastcgi;
    proxy_temp_path {data}/proxy;
    scgi_temp_path {data}/scgi;
    uwsgi_temp_path {data}/uwsgi;
    server {{
        listen 127.0.0.1:{port} ssl default_server;
        listen [::1]:{port6} ssl default_server;
        ssl_certificate {data}/certificate.pem;
        ssl_certificate_key {data}/key.pem;
        underscores_in_headers on;
        ignore_invalid_headers off;
        return 421;
    }}
    include {data}/site.conf;
}}
"""


class Nginx(Server):
    """nginx on 127.0.0.1 and ::1, with TLS, before a uwsgi socket; `users` and `producers` have passwords.

    Of the site's file only names are changed: the ports, the server's name, the socket and the folder of the
    certificate and the passwords.
    """

    name = "nginx"
    programs = (("nginx",), ("openssl",))
    places = ("usr/sbin",)
    # The sockets of the tests belong to who runs them.
    users = ("root",)

    def __init__(
        self, site: Path, socket: Path, users: Mapping[str, str], producers: Mapping[str, str], *, kept: bool = False
    ) -> None:
        super().__init__(kept=kept)
        self.port6 = free_port("::1")
        self._site = site
        self._socket = socket
        self._passwords = {"users": users, "producers": producers}

    @property
    def url(self) -> str:
        """Where it answers, without a path."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def url6(self) -> str:
        """Where it answers over IPv6."""
        return f"https://[::1]:{self.port6}"

    @property
    def certificate(self) -> Path:
        """The file of the certificate that clients have to trust."""
        return self._data / "certificate.pem"

    def tls(self) -> ssl.SSLContext:
        """Return what a client needs to trust it."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def substitutions(self) -> dict[str, str]:
        """Return what is written in place of the names in the site's file."""
        return {
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "listen [::]:443 ssl": f"listen [::1]:{self.port6} ssl",
            "server_name notifications.example.org": "server_name localhost 127.0.0.1 [::1]",
            "/etc/nginx/pacifica-notifications/": f"{self._data}/",
            "/run/pacifica-notifications/uwsgi.sock": str(self._socket),
        }

    def _make_data(self) -> None:
        make_certificate(self.certificate, self._data / "key.pem")
        for name, passwords in self._passwords.items():
            lines = [f"{user}:{{PLAIN}}{password}\n" for user, password in passwords.items()]
            (self._data / name).write_text("".join(lines), encoding="utf-8")
        site = self._site.read_text(encoding="utf-8")
        for old, new in self.substitutions().items():
            if old not in site:
                raise AssertionError(f"{self._site}: has no {old!r}")
            site = site.replace(old, new)
        (self._data / "site.conf").write_text(site, encoding="utf-8")
        user = "user root;" if os.geteuid() == 0 else ""
        main = MAIN.format(user=user, folder=self.folder, data=self._data, port=self.port, port6=self.port6)
        (self.folder / "nginx.conf").write_text(main, encoding="utf-8")

    def _command(self) -> list[str]:
        return [self._program("nginx"), "-e", "stderr", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]

    def _serves(self) -> bool:
        # What a listener with TLS says to a client without.
        return self._greets(b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 400")
