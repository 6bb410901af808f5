"""Measures how long `dbsync` takes for a large database of release 0.5.2: `python -m benchmarks.upgrade`.

Makes one on a private server, or in a file, runs the installed `dbsync` as an operator does, prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import TextIOBase
from itertools import chain, islice
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Any
from uuid import UUID

from tests.support import tables
from tests.support.factories import ingest
from tests.support.old import schemas
from tests.support.old.schemas import kind_of, opened
from tests.support.process import clean_environment
from tests.support.processes import script, write_config
from tests.support.servers import MariaDB, PostgreSQL, Server

#: Rows that are written with one statement.
BATCH = 5000
SUBSCRIPTIONS = 100
BEGAN = datetime(2024, 1, 1)  # noqa: DTZ001 - the older releases write local times

Columns = tuple[Any, ...]


@dataclass(frozen=True)
class Run:
    """What one `dbsync` took."""

    seconds: float
    cpu: float
    rss: int
    disk_before: int
    disk_most: int
    disk_after: int


def subscriptions() -> Iterator[Columns]:
    """Give rows of `eventmatch`."""
    path = '$[?(@.eventType = "org.pacifica.metadata.ingest")]'
    for number in range(SUBSCRIPTIONS):
        name, target, user = f"subscription {number}", f"http://1.1.1.1/{number}", f"user{number % 10}"
        yield uuid("a", number), name, path, user, None, None, target, "v0.1", "{}", BEGAN, BEGAN, None, "{}"


def events(count: int) -> Iterator[Columns]:
    """Give rows of `eventlog`: what ingests of one to nine files send, 1 to 3 KB."""
    sample = 7777777
    bodies = [json.dumps(ingest(sample, files)) for files in range(1, 10)]
    for number in range(count):
        body = bodies[number % len(bodies)].replace(f"ingest.{sample}", f"ingest.{number}", 1)
        yield (
            uuid("b", number),
            body.replace(f"_id={sample}", f"_id={number}", 1),
            BEGAN + timedelta(seconds=number * 30),
        )


def deliveries(count: int, among: int) -> Iterator[Columns]:
    """Give rows of `eventlogmatch`: mostly delivered, some sent again."""
    success = '{"status": "success"}'
    outcomes = [*[("200", success, "200", "")] * 8, ("200", success, "500", "<html>" * 20), ("500", success, "", "")]
    for number in range(count):
        # Each hundredth says once more what became of the one before it.
        event, subscription = divmod(number - (number % 100 == 99), max(1, count // among))
        created = BEGAN + timedelta(seconds=event % among * 30 + number % 100)
        yield (
            uuid("c", number),
            uuid("b", event % among),
            uuid("a", subscription % SUBSCRIPTIONS),
            *outcomes[number * 7 % len(outcomes)],
            created,
        )


def uuid(first: str, number: int) -> UUID:
    """Give a uuid of its own, in no order."""
    return UUID(f"{first}{number * 0x9E3779B97F4A7C15 % 2**64:016x}{number:015x}")


class Lines(TextIOBase):
    """Rows as PostgreSQL's COPY reads them."""

    def __init__(self, rows: Iterator[Columns]) -> None:
        """Say which."""
        self._rows = rows

    def read(self, size: int | None = -1) -> str:
        """Give some."""
        return "".join("\t".join(map(_copied, row)) + "\n" for row in islice(self._rows, 200))


def _copied(value: Any) -> str:
    return r"\N" if value is None else str(value).replace("\\", "\\\\")


@contextmanager
def room(url: str) -> Iterator[None]:
    """Give MariaDB much memory for a while: rows in no order take it hours with the little that it has by default."""
    if kind_of(url) != "mysql":
        yield
        return
    setting = "innodb_buffer_pool_size"
    usual = tables.one(url, f"SELECT @@{setting}")
    with opened(url) as database:
        database.execute_sql(f"SET GLOBAL {setting} = {4 << 30}")
    yield
    with opened(url) as database:
        database.execute_sql(f"SET GLOBAL {setting} = {usual}")


def fill(url: str, table: str, rows: Iterator[Columns]) -> None:
    """Write rows, in the way that is fastest for this database."""
    kind = kind_of(url)
    with opened(url) as database:
        if kind == "postgresql":
            with database.connection() as connection, connection.cursor() as cursor:
                cursor.execute("SET session_replication_role = replica")
                cursor.copy_expert(f"COPY {table} FROM STDIN", Lines(rows))
            return
        database.execute_sql(
            "PRAGMA synchronous = OFF" if kind == "sqlite" else "SET foreign_key_checks = 0, unique_checks = 0"
        )
        first = next(rows)
        mark = "?" if kind == "sqlite" else "%s"
        statement = f"INSERT INTO {table} VALUES ({', '.join([mark] * len(first))})"
        written = (tuple(_written(value, kind) for value in row) for row in chain([first], rows))
        while part := list(islice(written, BATCH)):
            with database.atomic():
                database.cursor().executemany(statement, part)


def _written(value: Any, kind: str) -> Any:
    if isinstance(value, UUID):
        return value.hex
    return str(value) if kind == "sqlite" and isinstance(value, datetime) else value


def dbsync(url: str, folder: Path, size: Callable[[], int]) -> Run:
    """Run it to its end and say what it took; `size` gives the bytes on disk."""
    file = write_config(folder / "settings.ini", {"database.peewee_url": url})
    command: list[str | Path] = [
        script("pacifica-notifications-cmd"),
        "-c",
        file,
        "dbsync",
        "--timezone",
        "Europe/Berlin",
    ]
    before = most = size()
    began = time.monotonic()
    pause = threading.Event()
    process = Popen(command, env=clean_environment(folder / "home"), stdin=DEVNULL, stdout=sys.stderr)
    while True:
        # Its own accounting, and not that of the server.
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        pause.wait(0.2)
        most = max(most, size())
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"dbsync ended with {process.returncode}")
    rss = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Run(seconds, used.ru_utime + used.ru_stime, rss, before, most, size())


@contextmanager
def place(kind: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Give the url of an empty database, and the folder that it is in."""
    if kind == "sqlite":
        yield f"sqlite:///{(folder / 'old.sqlite3').as_posix()}", folder
        return
    server: Server
    with PostgreSQL() if kind == "postgresql" else MariaDB() as server:
        yield server.create_database(), server.folder


def size_of(folder: Path) -> int:
    """Give the bytes of all files in a folder."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.lstat().st_size
        except OSError:
            # Removed meanwhile.
            continue
    return total


def measure(kind: str, events_count: int, deliveries_count: int) -> Run:
    """Make an old database and upgrade it."""
    with tempfile.TemporaryDirectory() as name, place(kind, Path(name)) as (url, folder):
        schemas.make(url)
        with room(url):
            for table, rows in (
                ("eventmatch", subscriptions()),
                ("eventlog", events(events_count)),
                ("eventlogmatch", deliveries(deliveries_count, events_count)),
            ):
                print(f"{kind}: filling {table} ...", file=sys.stderr)
                fill(url, table, rows)
        run = dbsync(url, Path(name), lambda: size_of(folder))
        found = [tables.one(url, f"SELECT COUNT(*) FROM {table}") for table in ("eventlog", "eventlogmatch")]
        if found != [events_count, deliveries_count]:
            raise SystemExit(f"{kind}: there are {found} rows, not {[events_count, deliveries_count]}")
        return run


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="DATABASE", help="sqlite, postgresql, mariadb (default: all)")
    parser.add_argument("--events", type=int, default=1_000_000, help="rows of eventlog (default 1000000)")
    parser.add_argument("--deliveries", type=int, default=3_000_000, help="rows of eventlogmatch (default 3000000)")
    options = parser.parse_args()
    rows = options.events + options.deliveries
    what = f"{options.events:,} events, {options.deliveries:,} deliveries"
    print(f"| {what} | time | rows/s | CPU | memory | disk: before, most, after |")
    print("|---|---|---|---|---|---|")
    for kind in options.kinds or ["sqlite", "postgresql", "mariadb"]:
        run = measure(kind, options.events, options.deliveries)
        disk = ", ".join(f"{size / 1e9:.1f}" for size in (run.disk_before, run.disk_most, run.disk_after))
        print(
            f"| {kind} | {run.seconds / 60:.1f} min | {rows / run.seconds:,.0f} | {run.cpu / 60:.1f} min"
            f" | {run.rss / 1e6:.0f} MB | {disk} GB |",
            flush=True,
        )
