"""A private PostgreSQL."""

from __future__ import annotations

import itertools
from signal import SIGINT, SIGQUIT
from typing import Literal
from urllib.parse import urlsplit

from .base import Server


class PostgreSQL(Server):
    """PostgreSQL with trust authentication and fsync on; its socket is in the folder."""

    name = "PostgreSQL"
    programs = (("postgres",), ("initdb",), ("psql",), ("pg_isready",))
    places = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")
    users = ("postgres", "nobody")

    _names = itertools.count(1)

    @property
    def url(self) -> str:
        """The database `postgres`."""
        return self._url("postgres")

    def create_database(self, template: str = "template0", encoding: str = "UTF8") -> str:
        """Make a database, empty or as another one that nobody is connected to, and return its url."""
        name = f"test_{next(self._names)}"
        source = urlsplit(template).path.rpartition("/")[2]
        self._sql(f"CREATE DATABASE {name} TEMPLATE {source} ENCODING '{encoding}'")
        return self._url(name)

    def drop_database(self, url: str) -> None:
        """Delete a database, whoever is connected to it; unknown ones are no error."""
        self._sql(f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]} WITH (FORCE)")

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it: `fast` ends connections cleanly, `immediate` leaves a crash recovery to the next start."""
        if self.running:
            self.process.end(SIGINT if mode == "fast" else SIGQUIT, self.patience)

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def _make_data(self) -> None:
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        self._run(["initdb"], "-D", str(self._data), *options)

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "max_connections": 100,
            "fsync": "on",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [self._program("postgres"), "-D", str(self._data), *options]

    def _serves(self) -> bool:
        self._run(["pg_isready"], "-h", "127.0.0.1", "-p", str(self.port))
        return True

    def _sql(self, statement: str) -> None:
        self._run(["psql"], "-X", "-q", "-d", self.url, "-c", statement)
