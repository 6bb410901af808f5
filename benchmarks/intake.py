"""Compares ways to take an event in.

Under uWSGI on PostgreSQL: the service, the same with a worker beside it that delivers each event ten times, the same
with every request through CherryPy's machinery, the same again with a commit for each event, and a plain CherryPy
handler that inserts and publishes. In the embedded server on SQLite: the service, and the one with a commit for each
event. All run at the same time, and are loaded in turn; CPU is that of the web processes, by their own accounting.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.ports import free_port
from tests.support.process import Process, clean_environment
from tests.support.processes import Command, Uwsgi, Worker, write_config
from tests.support.servers import PostgreSQL, RabbitMQ

from . import deployments, filling
from .figures import Figure, ratios
from .loader import Result
from .sides import usage
from .sinks import fast_targets

_CHECKOUT = Path(__file__).parent.parent
_PROGRAMS = Path(sys.executable).parent
_WSGI = "pacifica.notifications.wsgi"
#: A CherryPy file with which every event goes the long way, and nothing else differs.
_SHUT = """\
[/]
request.dispatch: cherrypy.dispatch.MethodDispatcher()
tools.response_headers.on: True
tools.response_headers.headers: [('Content-Type', 'application/json')]
tools.gzip.compress_level: 5
"""
#: Subscriptions that match every event where deliveries run.
_MATCHES = 10
_numbers = itertools.count(100_000, 100_000)


@dataclass
class Side:
    """One way to take events in, running; with what was measured of it."""

    name: str
    process: Process
    port: int
    #: Connections that it keeps open.
    most: int
    rate: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def load(self, connections: int, seconds: float) -> None:
        """Load it and take down what came of it."""
        before = usage(self.process).cpu
        words = [
            "--connections",
            str(min(connections, self.most)),
            "--seconds",
            str(seconds),
            "--first",
            str(next(_numbers)),
        ]
        command = [sys.executable, "-m", "benchmarks.loader", str(self.port), *words]
        done = subprocess.run(command, cwd=_CHECKOUT, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise AssertionError(f"{self.name}: {done.stderr}\n{self.process.log[-2000:]}")
        result = Result(**json.loads(done.stdout))
        if set(result.statuses) != {"200"}:
            raise AssertionError(f"{self.name} answered {dict(result.statuses)}: {self.process.log[-2000:]}")
        took = sorted(result.seconds)
        self.rate.append(len(took) / ((result.ended - result.began) / 1e9))
        self.p50.append(1000 * statistics.median(took))
        self.p99.append(1000 * statistics.quantiles(took, n=100)[98])
        self.cpu.append(1e6 * (usage(self.process).cpu - before) / len(took))

    def forget(self) -> None:
        """Forget what was measured."""
        for values in (self.rate, self.p50, self.p99, self.cpu):
            values.clear()

    def figures(self) -> list[Figure]:
        """Give what was measured."""
        return [
            Figure(f"`/receive`, {self.name}", self.rate, " events/s", "as above", digits=0),
            Figure("the same, p50", self.p50, " ms", "as above"),
            Figure("the same, p99", self.p99, " ms", "as above"),
            Figure("the same, CPU of the web processes per event", self.cpu, " us", "as above", digits=0),
        ]


class _Delivering(Side):
    """A side with a worker, which stands still while the others are loaded."""

    worker: Worker

    def load(self, connections: int, seconds: float) -> None:
        """Load it while its worker works."""
        os.killpg(self.worker.pid, signal.SIGCONT)
        try:
            super().load(connections, seconds)
        finally:
            os.killpg(self.worker.pid, signal.SIGSTOP)


def main(arguments: Sequence[str]) -> list[Figure]:
    """Start all, load them in turn, give the figures."""
    options = _options(arguments)
    for part in (PostgreSQL, RabbitMQ, Uwsgi):
        reason = part.available()
        if reason:
            sys.exit(reason)
    rounds = options.rounds or (1 if options.quick else 5)
    with (
        tempfile.TemporaryDirectory() as name,
        PostgreSQL() as postgresql,
        RabbitMQ() as rabbitmq,
        fast_targets(Path(name), _MATCHES) as targets,
        ExitStack() as stack,
    ):
        place = Path(name)
        sides = {
            key: stack.enter_context(side)
            for key, side in _sides(place, postgresql, rabbitmq, targets, options.before).items()
        }
        for side in sides.values():
            side.load(options.connections, 0.5)
            side.forget()
        for _ in range(rounds):
            for side in random.sample(list(sides.values()), len(sides)):
                side.load(options.connections, options.seconds)
    return _figures(sides, f"{options.seconds:g} s, {options.connections} connections")


def _sides(
    place: Path, postgresql: PostgreSQL, rabbitmq: RabbitMQ, targets: Sequence[str], before: Path | None
) -> dict[str, AbstractContextManager[Side]]:
    """Give what is compared, not started yet, the service first."""
    shut = place / "shut.conf"
    shut.write_text(_SHUT)
    long_way = {"NOTIFICATIONS_CPCONFIG": str(shut)}
    found = {
        "service": _uwsgi("the service", _WSGI, place, postgresql),
        "delivering": _delivering("the service with deliveries running", place, postgresql, rabbitmq, targets),
        "long": _uwsgi("all through CherryPy", _WSGI, place, postgresql, long_way),
        "each": _uwsgi("all through CherryPy, a commit each", "benchmarks.commit_each", place, postgresql),
        "plain": _plain("a plain handler", place, postgresql, rabbitmq),
        "embedded": _embedded("embedded server, SQLite", "pacifica.notifications", place),
        "embedded each": _embedded("embedded server, SQLite, a commit each", "benchmarks.commit_each", place),
    }
    if before:
        path = {"PYTHONPATH": str(before)}
        found["before"] = _uwsgi(str(before), _WSGI, place, postgresql, path)
        found["embedded before"] = _embedded(f"embedded server, {before}", "pacifica.notifications", place, path)
    return found


def _figures(sides: Mapping[str, Side], how: str) -> list[Figure]:
    """Give what is wanted of the service, and then what came of each side."""
    service, plain, delivering = sides["service"], sides["plain"], sides["delivering"]
    against = "uWSGI, 2 processes of 8 threads, PostgreSQL"
    return [
        Figure(
            "durable `/receive` against a plain CherryPy handler that inserts and publishes for each event",
            ratios(service.rate, plain.rate),
            " ×",
            f"{against}; {how}",
            least=4,
        ),
        Figure(
            "p99 of `/receive` at saturation with deliveries running",
            delivering.p99,
            " ms",
            f"{against}, RabbitMQ, a worker beside it, {_MATCHES} matches for each event; {how}",
            most=15,
        ),
        *(figure for side in sides.values() for figure in side.figures()),
    ]


@contextmanager
def _running(
    name: str, command: list[str | Path], port: int, folder: Path, env: dict[str, str], most: int = 16
) -> Iterator[Side]:
    environment = clean_environment(folder / "home", **{"PYTHONPATH": str(_CHECKOUT), **env})
    with Process(command, folder / "log", env=environment, cwd=folder) as process:
        side = Side(name, process, port, most)
        process.until(lambda: _answers(port), 60, f"{name} to answer")
        # What is done at the start is over.
        time.sleep(1)
        yield side


def _answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return bool(connection.recv(1))


def _uwsgi_command(module: str, port: int) -> list[str | Path]:
    size = ["--master", "--processes", "2", "--threads", "8", "--disable-logging", "--thunder-lock"]
    return [_PROGRAMS / "uwsgi", "--http11-socket", f"127.0.0.1:{port}", *size, "--module", module]


@contextmanager
def _uwsgi(
    name: str, module: str, place: Path, postgresql: PostgreSQL, env: dict[str, str] | None = None
) -> Iterator[Side]:
    """Run the service with a broker that nobody listens to: routing is not what is measured."""
    folder, port = Path(tempfile.mkdtemp(dir=place)), free_port()
    settings = deployments.settings(postgresql.create_database(), "amqp://127.0.0.1:9//")
    done = Command(folder, settings, env).run("dbsync")
    if done.returncode:
        raise AssertionError(done.stderr)
    file = write_config(folder / "settings.ini", settings)
    environment = {"NOTIFICATIONS_CONFIG": str(file), **(env or {})}
    with _running(name, _uwsgi_command(module, port), port, folder, environment) as side:
        yield side


@contextmanager
def _delivering(
    name: str, place: Path, postgresql: PostgreSQL, rabbitmq: RabbitMQ, targets: Sequence[str]
) -> Iterator[Side]:
    """Run the service, and a worker that delivers each event ten times."""
    folder, port = Path(tempfile.mkdtemp(dir=place)), free_port()
    database, broker = postgresql.create_database(), rabbitmq.create_vhost()
    filling.make_tables(database)
    filling.subscribe(database, targets)
    file = write_config(folder / "settings.ini", deployments.settings(database, broker))
    with (
        deployments.worker(folder / "worker", database, broker) as worker,
        _running(name, _uwsgi_command(_WSGI, port), port, folder, {"NOTIFICATIONS_CONFIG": str(file)}) as side,
    ):
        delivering = _Delivering(name, side.process, port, side.most)
        delivering.worker = worker
        os.killpg(worker.pid, signal.SIGSTOP)
        try:
            yield delivering
        finally:
            os.killpg(worker.pid, signal.SIGCONT)


@contextmanager
def _plain(name: str, place: Path, postgresql: PostgreSQL, rabbitmq: RabbitMQ) -> Iterator[Side]:
    folder, port = Path(tempfile.mkdtemp(dir=place)), free_port()
    environment = {"DATABASE": postgresql.create_database(), "BROKER": rabbitmq.create_vhost()}
    with _running(name, _uwsgi_command("benchmarks.plain_handler", port), port, folder, environment) as side:
        yield side


@contextmanager
def _embedded(name: str, module: str, place: Path, env: dict[str, str] | None = None) -> Iterator[Side]:
    folder, port = Path(tempfile.mkdtemp(dir=place)), free_port()
    file = write_config(folder / "settings.ini", {"database.peewee_url": f"sqlite:///{folder / 'events.sqlite3'}"})
    command: list[str | Path] = [sys.executable, "-m", module, "-c", file, "-a", "127.0.0.1", "-p", str(port)]
    with _running(name, command, port, folder, env or {}, most=8) as side:
        yield side


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks intake", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round: a look")
    parser.add_argument("--rounds", type=int, help="loads of each side (default 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one load (default %(default)g)")
    parser.add_argument("--connections", type=int, default=16, help="as many; 8 with the embedded server (default 16)")
    parser.add_argument("--before", type=Path, help="checkout of an earlier state of the service, to compare with too")
    return parser.parse_args(arguments)
