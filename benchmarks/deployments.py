"""What delivers in a benchmark: our worker, our embedded service, a yardstick; held still while there is work made."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]

from pacifica.notifications import orm
from tests.support import tables
from tests.support.process import Process
from tests.support.processes import Service, Worker

from . import filling
from .sides import usage

#: Seconds between two looks into the tables.
_LOOK = 0.2


@dataclass(frozen=True)
class Measured:
    """What a number of deliveries took: seconds by the rows' own times, and CPU seconds of the processes."""

    deliveries: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Deliveries per second."""
        return self.deliveries / self.seconds

    @property
    def cpu_each(self) -> float:
        """Microseconds of CPU per delivery."""
        return 1e6 * self.cpu / self.deliveries


class Deployment:
    """A running process that delivers from a database, held still at first."""

    def __init__(self, process: Process, database: str) -> None:
        self.process = process
        self.database = database
        self._hold()

    def run(self, subscriptions: Collection[orm.EventMatch], patience: float = 600) -> Measured:
        """Let it go until nothing is pending for these subscriptions, or the time is up."""
        before = usage(self.process).cpu
        os.killpg(self.process.pid, signal.SIGCONT)
        wait(self.process, lambda: not filling.pending(self.database, subscriptions), patience)
        cpu = usage(self.process).cpu - before
        return Measured(*filling.delivered(self.database, subscriptions), cpu)

    def _hold(self) -> None:
        """Let it stand still, and hold no lock meanwhile."""
        while True:
            os.killpg(self.process.pid, signal.SIGSTOP)
            if not _in_transaction(self.database):
                return
            os.killpg(self.process.pid, signal.SIGCONT)
            time.sleep(0.05)


def wait(process: Process, condition: Callable[[], bool], patience: float) -> None:
    """Wait for a condition that takes the database some work, or until the time is up.

    Raises `AssertionError` when the process ends.
    """
    deadline = time.monotonic() + patience
    while not condition() and time.monotonic() < deadline:
        if not process.running:
            raise AssertionError(f"{process!r}: {process.log[-3000:]}")
        time.sleep(_LOOK)


def _in_transaction(database: str) -> bool:
    """Tell whether anybody holds a transaction of this database open."""
    if database.startswith("sqlite:"):
        with closing(sqlite3.connect(urlsplit(database).path, timeout=0.1)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            return False
    held = "FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
    return bool(tables.one(database, f"SELECT COUNT(*) {held}"))


def settings(database: str, broker: str = "memory://") -> dict[str, object]:
    """Give settings for a database and a broker: no policy server, targets on loopback; the rest as it is shipped."""
    return {
        "celery.broker_url": broker,
        "database.peewee_url": database,
        "notifications.policy_url": "",
        "targets.allow": "127.0.0.0/8",
    }


def worker(folder: Path, database: str, broker: str) -> Worker:
    """Give our Celery worker, not started."""
    return Worker(folder, settings(database, broker))


def embedded(folder: Path, database: str) -> Service:
    """Give our service with the worker in it, not started."""
    return Service(folder, settings(database))


def highest_memory(process: Process) -> float:
    """Give the most MiB of memory that a process and its descendants had resident, added up (VmHWM)."""
    found = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
    lines = [line for pid in found for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
