"""A private Redis."""

from __future__ import annotations

import itertools
from urllib.parse import urlsplit

from .base import Server


class Redis(Server):
    """Redis that keeps nothing on disk: every stop loses its data."""

    name = "Redis"
    programs = (("redis-server",),)
    users = ("redis", "nobody")
    databases = 1000

    def __init__(self, *, kept: bool = False) -> None:
        super().__init__(kept=kept)
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        """Its database 0."""
        return self._url(0)

    def create_database(self) -> str:
        """Return the url of a database that is empty and that nobody was given before."""
        number = next(self._numbers)
        if number >= self.databases:
            raise AssertionError(f"all {self.databases} databases of this Redis are used up")
        return self._url(number)

    def drop_database(self, url: str) -> None:
        """Delete what is in a database."""
        self._greets(f"SELECT {urlsplit(url).path[1:]}\r\nFLUSHDB\r\n".encode(), b"+OK")

    def _url(self, number: int) -> str:
        return f"redis://127.0.0.1:{self.port}/{number}"

    def _make_data(self) -> None:
        """Nothing to prepare."""

    def _command(self) -> list[str]:
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._data)]
        memory_only = ["--save", "", "--appendonly", "no"]
        return [self._program("redis-server"), *where, *memory_only, "--databases", str(self.databases)]

    def _serves(self) -> bool:
        return self._greets(b"PING\r\n", b"+PONG")
