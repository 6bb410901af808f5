"""Compares ways to take an event in, and prints a table in Markdown: `python -m benchmarks.intake`.

Under uWSGI on PostgreSQL: the service, the same with every request through CherryPy's machinery, the same again with a
commit for each event, and a plain CherryPy handler that inserts and publishes. In the embedded server on SQLite: the
service, and the one with a commit for each event. All run at the same time,
and are loaded in turn; CPU is that of the web processes, by their own accounting.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.ports import free_port
from tests.support.process import Process, clean_environment
from tests.support.processes import Command, write_config
from tests.support.servers import PostgreSQL, RabbitMQ

from .loader import Result
from .sides import usage

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


def main() -> None:
    """Start all, load them in turn, print."""
    options = _options()
    with (
        tempfile.TemporaryDirectory() as folder,
        PostgreSQL() as postgresql,
        RabbitMQ() as rabbitmq,
        ExitStack() as stack,
    ):
        place = Path(folder)
        shut = place / "shut.conf"
        shut.write_text(_SHUT)
        groups = {
            "uWSGI, 2 processes x 8 threads, PostgreSQL": [
                stack.enter_context(_uwsgi("together, short way", _WSGI, place, postgresql)),
                stack.enter_context(
                    _uwsgi("together, CherryPy", _WSGI, place, postgresql, {"NOTIFICATIONS_CPCONFIG": str(shut)})
                ),
                stack.enter_context(_uwsgi("a commit each, CherryPy", "benchmarks.commit_each", place, postgresql)),
                stack.enter_context(_plain("plain handler, insert and publish", place, postgresql, rabbitmq)),
            ],
            "embedded server, SQLite": [
                stack.enter_context(_embedded("together, short way", "pacifica.notifications", place)),
                stack.enter_context(_embedded("a commit each, CherryPy", "benchmarks.commit_each", place)),
            ],
        }
        if options.before:
            module, name = "pacifica.notifications", str(options.before)
            before = {"PYTHONPATH": str(options.before)}
            uwsgi, embedded = groups.values()
            uwsgi.append(stack.enter_context(_uwsgi(name, f"{module}.wsgi", place, postgresql, before)))
            embedded.append(stack.enter_context(_embedded(name, module, place, before)))
        sides = [side for group in groups.values() for side in group]
        for side in sides:
            side.load(options.connections, 0.5)
            for values in (side.rate, side.p50, side.p99, side.cpu):
                values.clear()
        for _ in range(options.rounds):
            for side in random.sample(sides, len(sides)):
                side.load(options.connections, options.seconds)
        for title, group in groups.items():
            print(_table(title, group), end="\n\n")
    print(
        f"{options.rounds} rounds of {options.seconds:g} s, {options.connections} connections, medians (lowest to"
        f" highest); load of the machine {os.getloadavg()[0]:.1f}."
    )


def _table(title: str, sides: list[Side]) -> str:
    base = statistics.median(sides[0].rate)
    lines = [f"| {title} | events/s | share | p50 ms | p99 ms | CPU us per event |", "|---|---|---|---|---|---|"]
    for side in sides:
        cells = [_cell(side.rate), f"{statistics.median(side.rate) / base:.2f}"]
        cells += [_cell(side.p50, 1), _cell(side.p99, 1), _cell(side.cpu)]
        lines.append(f"| {side.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: list[float], digits: int = 0) -> str:
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


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
    settings = {
        "database.peewee_url": postgresql.create_database(),
        "celery.broker_url": "amqp://127.0.0.1:9//",
        "notifications.policy_url": "",
    }
    done = Command(folder, settings, env).run("dbsync")
    if done.returncode:
        raise AssertionError(done.stderr)
    file = write_config(folder / "settings.ini", settings)
    environment = {"NOTIFICATIONS_CONFIG": str(file), **(env or {})}
    with _running(name, _uwsgi_command(module, port), port, folder, environment) as side:
        yield side


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


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.intake", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one load")
    parser.add_argument("--connections", type=int, default=16, help="as many; 8 with the embedded server (default 16)")
    parser.add_argument("--before", type=Path, help="checkout of an earlier state of the service, to compare with too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
