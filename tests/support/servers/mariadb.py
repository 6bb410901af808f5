"""A private MariaDB."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from .base import Server


class MariaDB(Server):
    """MariaDB with root without a password on 127.0.0.1; its socket is in the folder.

    `options` are added to its command line, such as `--default-time-zone=+05:00`.
    """

    name = "MariaDB"
    programs = (("mariadbd", "mysqld"), ("mariadb-install-db",), ("mariadb",))
    places = ("usr/sbin", "usr/libexec")
    users = ("mysql", "nobody")

    _names = itertools.count(1)

    def __init__(self, *, kept: bool = False, options: Sequence[str] = ()) -> None:
        super().__init__(kept=kept)
        self._options = list(options)

    @property
    def url(self) -> str:
        """The database `mysql`."""
        return self._url("mysql")

    def create_database(self) -> str:
        """Make an empty database and return its url; its character set is the server's."""
        name = f"test_{next(self._names)}"
        self._sql(f"CREATE DATABASE {name}")
        return self._url(name)

    def drop_database(self, url: str) -> None:
        """Delete a database; unknown ones are no error."""
        self._sql(f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]}")

    def _url(self, database: str) -> str:
        return f"mysql://root@127.0.0.1:{self.port}/{database}"

    def _make_data(self) -> None:
        options = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        self._run(["mariadb-install-db"], "--no-defaults", f"--datadir={self._data}", *options)

    def _command(self) -> list[str]:
        return [
            self._program("mariadbd", "mysqld"),
            "--no-defaults",
            f"--datadir={self._data}",
            f"--tmpdir={self._data}",
            f"--socket={self._socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--innodb-flush-log-at-trx-commit=1",
            *self._options,
        ]

    def _serves(self) -> bool:
        self._sql("SELECT 1")
        return True

    @property
    def _socket(self) -> Path:
        return self.folder / "s"

    def _sql(self, statement: str) -> None:
        self._run(["mariadb"], "--no-defaults", f"--socket={self._socket}", "-u", "root", "-e", statement)
